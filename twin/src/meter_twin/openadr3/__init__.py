"""OpenADR 3.1 as a VEN that polls, without I/O (OpenADR 3.1.0: Definitions, User Guide, OpenAPI).

`json_codec` reads what a VTN says, `event_codec`, `program_codec`, `report_codec`, `notifier_codec`
and `capacity` its objects; `event_mapping` says in `demand_response`'s words what an event means.
`authorization` (OAuth2), `enrolment` (ven and resources), `sweep` (events), `outbox`, `reporting`
and `running` (reports), `announcements` (refusals and bids) are the parts of the conversation,
`ven` chooses between them, `agent` is what the shell holds, `memory` what outlives it. May import
`demand_response` and what both OpenADRs share of `openadr2`: times, patience, event_description.
"""
