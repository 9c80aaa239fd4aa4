"""The ledger: an ABCI 2.0 application for CometBFT, its server and its clients.

Folders: `abci` (the server, knows nothing of energy), `state` (what a block does to the ledger,
pure), `store` (SQLite). May import `meter_wire` and nobody else of ours.
"""
