// Two small programs of our own: the pause process of a pod, and the loopback door to the cluster.
module metertwin/tools/cluster/go/local

go 1.26.0
