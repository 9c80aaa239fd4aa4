"""What runs unchanged on the meter (MicroPython, 38 KB heap) and in the twin (CPython).

No typing, dataclasses or enum here; numbers are private `const`s, checked against
`meter_wire.tables` by a test. Imports only hashlib and each other.
"""
