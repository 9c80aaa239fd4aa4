"""OpenADR 2.0b as a VEN in the pull model, without I/O (OpenADR 2.0b Profile Specification).

`xml_codec` reads and writes XML, `times` its durations and moments, `message_codec` the frame all
messages share; `event_codec`, `registration_codec`, `report_codec` and `opt_codec` the services.
`ven` is the state machine that says what is asked of the VTN next. May import `demand_response`
(what an event means), nothing of the twin's shell.
"""
