"""City Grid: a small utility that speaks OpenADR 2.0b, for the demo and its tests.

`programme` (what it plans) and `observations` (what it has seen of its customers) are without I/O;
`settings` reads files, `vtn` is openleadr's server, `control` what the utility's people use,
`__main__` the command. Nothing of MeterTwin is imported: to the twins this is somebody else.
"""
