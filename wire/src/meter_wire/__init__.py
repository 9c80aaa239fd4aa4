"""The contract between meter, twin and operator: link version 1, MQTT codec, OBIS, names.

No dependencies. `portable/` is the same source on the meter (MicroPython) and in the twin
(CPython); everything beside it is CPython only. Imports nothing of the other packages.
"""
