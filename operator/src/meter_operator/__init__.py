"""The operator: each SmartMeter gets one twin pod, and everybody learns who owns the meter.

Pure: `desired` (what the resources want), `policies` (what is wrong), `plan` (what to do),
`builders` (manifests), `status` (conditions), `owner` (records for meter and twins). Shell:
`watches` (kopf), `reconciler` (the story), `cluster` (the only API calls), `messenger` (broker),
`lease` (one active replica). It imports `meter_wire` and `meter_pki`; nothing imports it.
"""

__version__ = "0.1.0"
