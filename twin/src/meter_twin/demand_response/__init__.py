"""What the utility's events mean to a meter, whichever OpenADR says them; without I/O.

`dr_event` is an event as both versions of OpenADR can say it, `event_book` keeps those of one VEN
and answers them, `random_offset` spreads their beginnings. Imports nothing of the twin's shell.
"""
