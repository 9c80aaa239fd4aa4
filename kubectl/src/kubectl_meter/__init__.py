"""`kubectl meter`: read meters through their twins and provision devices.

`cli` is the command line; `cluster` runs the kubectl binary, `twin` talks to a twin through a
port-forward, `tables` prints, `provisioning` and `settings` make a device's credentials,
`calendar_file` and `signed_orders` orders of the utility. May import `meter_wire` and `meter_pki`;
needs no Kubernetes client, as kubectl brings the user's credentials.
"""

__version__ = "0.1.0"
