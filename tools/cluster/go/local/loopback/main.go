// Loopback is the only door between the machine and the network of the cluster. It inherits a
// socket that listens on 127.0.0.1 of the machine, runs inside the network namespace of the
// cluster, and joins each connection to one address there.
package main

import (
	"flag"
	"io"
	"log"
	"net"
	"os"
	"time"
)

func join(to, from *net.TCPConn, done chan<- struct{}) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
	done <- struct{}{}
}

func serve(client *net.TCPConn, target string) {
	defer client.Close()
	connection, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		log.Printf("while dialing %s: %v", target, err)
		return
	}
	server := connection.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{}, 2)
	go join(server, client, done)
	go join(client, server, done)
	<-done
	<-done
}

func main() {
	descriptor := flag.Uint("fd", 3, "the inherited socket that listens")
	target := flag.String("target", "", "address in the namespace, host:port")
	flag.Parse()
	listener, err := net.FileListener(os.NewFile(uintptr(*descriptor), "listener"))
	if err != nil {
		log.Fatalf("while taking over the listening socket: %v", err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatalf("while accepting: %v", err)
		}
		go serve(client.(*net.TCPConn), *target)
	}
}
