"""The twin: one small container that speaks for one meter.

Pure parts: `owner_gate`, `option_schema`, `applications`, `twin_state`. Shell: `shell` (the
process), `link_loop` (meter), `http_server` and `api` (ports), `store*` (SQLite). It may import
`meter_wire`, PyNaCl when an export is sealed, and the standard library; never Kubernetes.
"""

from . import postponed  # noqa: F401 - before anything imports asyncio

__version__ = "0.1.0"
