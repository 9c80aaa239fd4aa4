"""The simulated world behind a meter on the unix port: never copied to a board.

Knows nothing of the meter; `electricity` above puts the parts together. Everything is a function
of seeds and elapsed time, so the feeder's meter sees exactly the households' power.
"""
