"""The version of the twin that comes next: the stock twin with one application changed.

Nothing of the stock twin is copied: this package lies over it in an image of its own, takes the
place of one application and says another version. Its application has a new schema of its state
beside the old one, so a meter can go from the stock twin to this one and back without a reading or
a quarter hour lost. Modules: `__main__` (the start), `metering_data` (the application), `demand`
(what it has that the stock one has not). It may import what `meter_twin` may.
"""

__version__ = "next"
APPLICATIONS = {"metering-data": "meter_twin_next.metering_data:MeteringData"}
