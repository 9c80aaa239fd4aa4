"""A home's energy management: what it is told (`plan`), what it has (`devices`), what it does.

`control` decides, pure; `twin_client` asks the meter's twin; `__main__` runs. Nobody here imports
anything of MeterTwin: docs/reference/ems-api.md is all that it knows.
"""
