"""A real local Kubernetes on one Linux machine, for machines without a cluster of their own.

Only the standard library is used: this package runs before any Python environment exists.
The whole cluster lives in one network namespace without a route out; its only door is one
port on 127.0.0.1. Everything on disk lies in one state folder, so `down` leaves no trace.
"""
