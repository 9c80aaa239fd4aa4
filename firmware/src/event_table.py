"""Names and arguments of the event codes. Source of docs/reference/events.md.

Used by the EMS port (readable text) and the generator; a board without an EMS port does not load
it. Arguments are integers, their units are in their names; only the calendar's name is text.
"""

import event_codes as code

TABLE = (
    (code.POWER_DOWN, "power_down", ("reconstructed",),
     ("power was lost; reconstructed = 1 if noticed at power return (time: last sign of life), "
      "0 if the meter saw it coming")),
    (code.POWER_UP, "power_up", ("outage_ms",),
     "power returned; -1 if a clock was invalid, so the duration is unknown"),
    (code.CLOCK_STEP, "clock_step", ("offset_ms",),
     "the clock was stepped (above 3 s; less is slewed); time = after the step"),
    (code.CLOCK_SET, "clock_set", (), "the clock became valid for the first time since power-up"),
    (code.TAMPER_COVER, "tamper_cover", ("open",), "the cover was opened (1) or closed (0)"),
    (code.TAMPER_MAGNET, "tamper_magnet", ("present",), "a strong magnetic field came or went"),
    (code.RELAY_SUPPLY, "relay_supply", ("state", "reason"),
     "the supply relay moved; state as in 0-0:96.3.10*255"),
    (code.RELAY_LOAD, "relay_load", ("load", "closed", "reason"),
     ("a load contactor moved; reason 0 command, 1 expired, 2 power return, 3 limit, 4 trip, "
      "5 local action")),
    (code.FIRMWARE_START, "firmware_start", ("boot", "version"),
     "the firmware started; version as major * 65536 + minor * 256 + patch"),
    (code.DIP, "dip", ("phase", "duration_ms", "extreme_mv"),
     "voltage below 90 % of nominal until 92 %; extreme = residual voltage"),
    (code.SWELL, "swell", ("phase", "duration_ms", "extreme_mv"),
     "voltage above 110 % of nominal until 108 %; extreme = maximum voltage"),
    (code.INTERRUPTION, "interruption", ("phase", "duration_ms", "extreme_mv"),
     "voltage below 5 % of nominal until 7 %; always lies inside a dip of the same phase"),
    (code.VOLTAGE_10MIN, "voltage_10min", ("covered_s", "flagged", "min_mv", "mean_mv", "max_mv"),
     "RMS mean on a UTC tick, time = its start; last three per phase; flagged = 1 with a dip etc."),
    (code.RING_OVERFLOW, "ring_overflow", ("lost",), "entries were overwritten before their ack"),
    (code.OWNER_CHANGE, "owner_change", ("active_epoch", "candidate_epoch"),
     "an authenticated owner record was accepted"),
    (code.INCARNATION_NEW, "incarnation_new", (), "the flash state was created anew"),
    (code.LIMIT_TRIP, "limit_trip", ("power_w", "limit_w"), "the power limit opened a contactor"),
    (code.CONFIGURATION, "configuration", ("item",), "a configuration item was changed"),
    (code.TASK_RESTART, "task_restart", ("task", "restarts"),
     "a task of the firmware died or fell silent and was started again"),
    (code.CLOCK_REFUSED, "clock_refused", ("offset_ms",),
     "a time without the utility's signature was over 60 s off; once an hour at most"),
    (code.ORDER, "order", ("action", "counter", "reason"),
     "an order of the utility is carried out; 1 disconnect, 2 arm, 3 set_clock, 4 set_calendar"),
    (code.CALENDAR, "calendar", ("counter", "calendar"),
     "a time-of-use calendar came into force at this time: counter of its order and its name"),
    (code.TRIP, "trip", ("kind", "began", "load", "extreme"),
     ("a trip began (1) or ended (0); kind 1 over voltage (extreme in mV), 2 under voltage (mV), "
      "3 over frequency (mHz), 4 under frequency (mHz), 5 over current (mA), 6 load limit (W)")),
    (code.LOCK_OUT, "lock_out", ("load", "locked"),
     "a load was locked open after too many trips (1), or the local action ended that (0)"),
    (code.RESET, "reset", ("cause", "away_ms"),
     ("the meter started again without a power cut; cause 1 watchdog, 2 software; "
      "-1 if the duration is unknown")),
    (code.POWER_HELD, "power_held", (), "the power that power_down saw going did not go"),
    (code.CREDENTIALS, "credentials", ("change",),
     ("the link's certificate and anchors: renewed over the session (1), the renewal port (2); "
      "the renewed ones are damaged (3) or not loaded by TLS (4): the provisioned ones are used")),
)  # fmt: skip
"""(code, name, argument names, meaning)"""
