"""Codes of the meter's events: small integers that never change their meaning.

An event is a tuple (code, (UTC second, millisecond) of its start, arguments…); the arguments of
each code are in `event_table`. Codes are appended, never reused; 128 and above are for drivers.
"""

POWER_DOWN = 1
POWER_UP = 2
CLOCK_STEP = 3
CLOCK_SET = 4
TAMPER_COVER = 5
TAMPER_MAGNET = 6
RELAY_SUPPLY = 7
RELAY_LOAD = 8
FIRMWARE_START = 9
DIP = 10
SWELL = 11
INTERRUPTION = 12
VOLTAGE_10MIN = 13
RING_OVERFLOW = 14
OWNER_CHANGE = 15
INCARNATION_NEW = 16
LIMIT_TRIP = 17
CONFIGURATION = 18
TASK_RESTART = 19
CLOCK_REFUSED = 20
ORDER = 21
CALENDAR = 22
TRIP = 23
LOCK_OUT = 24
RESET = 25
POWER_HELD = 26
CREDENTIALS = 27
