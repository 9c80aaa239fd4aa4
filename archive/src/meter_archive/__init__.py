"""The archive: every reading of a fleet, for years, in PostgreSQL. Docs: archive/README.md.

It may import `meter_wire` and its own libraries, never the twin or the operator.
"""
