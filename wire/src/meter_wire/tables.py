"""The numbers of link version 1: the only source of docs/reference/link-v1.md.

The portable modules spell the numbers they use as private constants, which cost the meter no
memory; a test compares each with these tables.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """One number: its name, and for readers its format and meaning."""

    number: int
    name: str
    form: str
    meaning: str


FRAME_TYPES = (
    Row(0x01, "hello", "up", "opens a session; counter 0, twin nonce zero in its MAC"),
    Row(0x02, "records", "up", "entries of the ring, contiguous, perhaps after a hole"),
    Row(0x03, "answer", "up", "result of a command"),
    Row(0x04, "live", "up", "a reading of a subscription, not in the ring"),
    Row(0x05, "describe", "up", "serial, firmware, registers with unit and scaler"),
    Row(0x06, "farewell", "up", "the meter closed the pair of an epoch (flow 10)"),
    Row(0x07, "segment_up", "up", "a part of an item that is longer than a frame"),
    Row(0x81, "welcome", "down", "answers hello; from here the session is open"),
    Row(0x82, "ack", "down", "marks stored and archived"),
    Row(0x83, "nudge", "down", "asks for a hello; both nonces zero but the twin's own in its body"),
    Row(0x84, "read", "down", "command: registers now"),
    Row(0x85, "subscribe", "down", "command: live readings"),
    Row(0x86, "write", "down", "command: set a target"),
    Row(0x87, "forward", "down", "command: opaque bytes to the EMS port"),
    Row(0x88, "time", "down", "command: UTC"),
    Row(0x89, "owner", "down", "command: owner record, fast path"),
    Row(0x8A, "order", "down", "command: order signed by the utility"),
    Row(0x8B, "segment_down", "down", "a part of an item that is longer than a frame"),
)

TAGS = (
    Row(1, "incarnation", "8 bytes", "random, made with the meter's flash state"),
    Row(2, "oldest", "uint", "first number the ring still holds"),
    Row(3, "head", "uint", "last number given"),
    Row(4, "first", "uint", "number of the first entry of this frame"),
    Row(5, "anchor", "16 bytes", "chain hash of the number before first"),
    Row(6, "entries", "list", "entries, each after its length as varint"),
    Row(7, "hole", "u32 u32 u8", "first, last, reason; ends where first begins"),
    Row(8, "uptime_ms", "uint", "meter's uptime when the frame was made"),
    Row(9, "boot", "uint", "boot number, up to 32 bits"),
    Row(10, "count", "uint", "hello number within the boot, from 1"),
    Row(11, "meter_nonce", "8 bytes", "fresh for each session"),
    Row(12, "twin_nonce", "8 bytes", "fresh for each session"),
    Row(13, "device", "text", "device id"),
    Row(14, "floor", "uint", "epoch of the last authenticated active record, 0 for none"),
    Row(15, "highest", "uint", "highest epoch ever seen, candidates included"),
    Row(16, "owner_counter", "uint", "counter of the record in flash"),
    Row(17, "frame_limit", "uint", "longest frame in bytes that the sender takes, at least 768"),
    Row(18, "capabilities", "uint", "bits, see capabilities"),
    Row(19, "clock", "uint", "see clock states"),
    Row(20, "firmware", "text", "version"),
    Row(21, "store", "8 bytes", "random, made with the twin's store"),
    Row(22, "stored", "uint", "end of the contiguous stored prefix"),
    Row(23, "archived", "uint", "end of the contiguous archived prefix"),
    Row(24, "resume", "uint", "number to send from"),
    Row(25, "window", "uint", "frames that may wait for their ack"),
    Row(26, "utc_ms", "uint", "UTC in ms since 1970-01-01"),
    Row(27, "digest", "8 bytes", "first bytes of SHA-256 over the description"),
    Row(28, "wanted", "uint", "1: the twin has no such description"),
    Row(29, "command", "uint", "id of a command"),
    Row(30, "deadline", "uint", "meter's uptime in ms after which the command is expired"),
    Row(31, "code", "uint", "see answers"),
    Row(32, "codes", "list", "register codes: form byte (long or 0) and 3 or 6 bytes"),
    Row(33, "period", "uint", "seconds between live readings"),
    Row(34, "duration", "uint", "seconds until the subscription ends, 0 ends it now"),
    Row(35, "target", "uint", "see targets"),
    Row(36, "value", "int", "what to set"),
    Row(37, "index", "uint", "number of the load"),
    Row(38, "seconds", "uint", "time after which a load returns to its safe state"),
    Row(39, "data", "bytes", "opaque, at most 512"),
    Row(40, "entry", "entry", "one entry that is not in the ring"),
    Row(41, "order", "bytes", "what the utility signed, see orders; at most 512"),
    Row(42, "signature", "64 bytes", "r and s of the order's ECDSA signature"),
    Row(43, "record", "bytes", "owner record"),
    Row(44, "retired", "uint", "epoch whose pair was closed"),
    Row(45, "active", "uint", "the meter's active epoch"),
    Row(46, "serial", "text", "serial number"),
    Row(47, "registers", "list", "code as in codes, u8 unit, i8 scaler"),
    Row(48, "item", "uint", "number of a segmented item"),
    Row(49, "index_of", "uint", "index of this segment, from 0"),
    Row(50, "count_of", "uint", "number of segments"),
    Row(51, "type_of", "uint", "frame type of the whole"),
    Row(52, "item_limit", "uint", "longest item in bytes that the sender takes in segments"),
    Row(53, "cipher", "uint", "1: the session's other frames are encrypted, see encryption"),
)

ENTRY_KINDS = (
    Row(1, "reading", "", "registers of one instant"),
    Row(2, "event", "", "code and arguments"),
)

ENTRY_TAGS = (
    Row(1, "registers", "list", "registers"),
    Row(2, "event_code", "u16", "event code"),
    Row(3, "event_arguments", "list", "form byte (octets, length) and value"),
    Row(15, "signature", "u8 bytes", "algorithm and source signature, the last field"),
)

STATUS = (
    Row(0x0001, "power_down", "", "power was lost in the interval"),
    Row(0x0002, "clock_adjusted", "", "the clock was stepped in the interval"),
    Row(0x0004, "daylight_saving", "", "local time was daylight saving time"),
    Row(0x0008, "data_not_valid", "", "values are not to be billed"),
    Row(0x0010, "clock_invalid", "", "time is 0 or in doubt: order by seq and uptime"),
    Row(0x0020, "error", "", "the meter found a fault in itself"),
    Row(0x0040, "estimated", "", "values are estimated"),
    Row(0x0080, "counted_on", "", "counted on without a valid clock since power-up"),
)

FORM_BITS = (
    Row(0x80, "long", "", "six-byte code A to F; else C, D, E with A-B = 1-0 and F = 255"),
    Row(0x40, "octets", "", "value is octets; else two's complement, minimal"),
    Row(0x20, "timed", "", "u32 UTC time of the value follows it"),
    Row(0x1F, "length", "", "bytes of the value"),
)

HOLES = (
    Row(1, "overflow", "", "overwritten before an active twin acknowledged it: lost"),
    Row(2, "reserved", "", "numbers that were never used, after a reboot"),
    Row(3, "released", "", "acknowledged once, overwritten since: this store's local hole"),
)

ANSWERS = (
    Row(0, "ok", "", "done; for forward: delivered"),
    Row(1, "absent", "", "no EMS at the port"),
    Row(2, "expired", "", "the deadline had passed"),
    Row(3, "refused", "", "the meter or the EMS does not do this"),
    Row(4, "repeated", "", "a command with this id, or an order with its counter, came before"),
    Row(5, "unknown", "", "no such register, target or command"),
    Row(6, "unsigned", "", "needs an order signed by the utility"),
    Row(7, "busy", "", "too many commands at once"),
    Row(8, "not_active", "", "from a candidate only hello and resume are accepted"),
    Row(9, "out_of_range", "", "the value is outside its bounds"),
)

TARGETS = (
    Row(1, "capture_period", "s", "distance of readings"),
    Row(2, "report_spread", "s", "longest wait before an upload"),
    Row(3, "load", "W", "limit of load[index] for `seconds`; the supply is no target"),
)

CAPABILITIES = (
    Row(0x01, "ems", "", "has an EMS port"),
    Row(0x02, "load", "", "has at least one load contactor or limit"),
    Row(0x04, "supply", "", "has a supply relay"),
    Row(0x08, "utility_orders", "", "verifies orders signed by the utility"),
    Row(0x10, "source_signed", "", "signs its readings"),
    Row(0x20, "power_quality", "", "measures dips, swells, interruptions"),
    Row(0x40, "encryption", "", "wants its frames encrypted, see encryption"),
)

CLOCK_STATES = (
    Row(0, "invalid", "", "never set since power-up"),
    Row(1, "valid", "", "set"),
)

SIGNATURES = (
    Row(1, "ecdsa_p256_sha256", "64 bytes", "r and s, of a secure element"),
    Row(2, "ed25519", "64 bytes", "RFC 8032, over the digest"),
)

ORDER_TAGS = (
    Row(1, "device", "text", "device id"),
    Row(2, "action", "uint", "see order actions"),
    Row(3, "reason", "u16 as uint", "the utility's own code; the meter records it in its event"),
    Row(4, "operator", "text", "who answers for the order, 1 to 64 bytes"),
    Row(5, "not_after", "uint", "expiry: UTC seconds; judged unless the action is set_clock"),
    Row(6, "counter", "uint", "higher than that of every order the meter has carried out"),
    Row(7, "utc_ms", "uint", "set_clock: UTC in ms since 1970-01-01; absent otherwise"),
    Row(8, "incarnation", "8 bytes", "may be absent: valid in this incarnation only"),
    Row(9, "boot", "u16 as uint", "valid in this boot only: its low 16 bits, as in entries"),
    Row(10, "uptime_s", "uint", "with boot: expiry, the meter's uptime in seconds"),
    Row(11, "activates", "uint", "set_calendar: UTC seconds, 0 for at once; absent otherwise"),
    Row(12, "calendar", "bytes", "set_calendar: see calendars; absent otherwise"),
)

ORDER_ACTIONS = (
    Row(1, "disconnect", "", "open the supply relay"),
    Row(2, "arm", "", "allow reconnection: somebody at the meter closes the relay"),
    Row(3, "set_clock", "", "set the clock to utc_ms, however far the step"),
    Row(4, "set_calendar", "", "keep calendar, and switch rates by it from activates on"),
)

OWNER_TAGS = (
    Row(1, "device", "text", "device id"),
    Row(2, "active", "uint", "active epoch"),
    Row(3, "active_id", "16 bytes", "its id"),
    Row(4, "candidate", "uint", "candidate epoch, absent for none"),
    Row(5, "candidate_id", "16 bytes", "its id, absent for none"),
    Row(6, "highest", "uint", "highest epoch ever allocated"),
    Row(7, "broker", "text", "host:port; absent or empty: the meter's first broker. See brokers"),
    Row(8, "counter", "uint", "rises with each decision"),
    Row(9, "nonce", "8 bytes", "of the owner hello that is answered, may be absent; last"),
)

OWNER_HELLO_TAGS = (
    Row(1, "device", "text", "device id"),
    Row(2, "nonce", "8 bytes", "fresh"),
    Row(3, "floor", "uint", "epoch of the record in flash, 0 for none"),
    Row(4, "highest", "uint", "highest epoch ever seen, candidates included"),
    Row(5, "owner_counter", "uint", "counter of the record in flash, 0 for none"),
    Row(6, "incarnation", "8 bytes", "of the ring"),
)

RENEW_TAGS = (
    Row(1, "device", "text", "device id"),
    Row(2, "nonce", "16 bytes", "fresh"),
    Row(3, "certificate", "bytes", "the meter's, DER, valid or not; at most 1024"),
)

RENEWED_TAGS = (
    Row(1, "device", "text", "device id"),
    Row(2, "nonce", "16 bytes", "of the request"),
    Row(3, "certificate", "bytes", "a new one for the same key, DER; at most 1024"),
    Row(
        4,
        "anchors",
        "list",
        "1 or 2 CA certificates, DER, each after its length; the signing one first",
    ),
    Row(5, "renew_from", "uint", "UTC second from which on the next request is welcome"),
)

REFUSALS = (
    Row(0, "malformed", "both", "not this format, or a field is missing or out of its bounds"),
    Row(0, "version", "both", "version byte is not 1"),
    Row(0, "type", "both", "unknown frame type, or one of the other direction"),
    Row(0, "oversized", "both", "longer than the frame or item limit"),
    Row(0, "mac", "both", "not authentic in this session"),
    Row(0, "no_session", "both", "no session is open, so it cannot be authentic"),
    Row(
        0, "replayed", "both", "counter or hello number not above the last, or the last nudge again"
    ),
    Row(0, "duplicate", "both", "the same with the DUP flag of QoS 1: harmless"),
    Row(0, "retained", "both", "the broker kept it; only owner records may be kept"),
    Row(0, "epoch", "meter", "neither active nor candidate"),
    Row(0, "not_active", "meter", "a command or an ack mark of a candidate"),
    Row(0, "expired", "meter", "a command after its deadline, or an order after its expiry"),
    Row(0, "repeated", "both", "a command, order, record or hello seen before: harmless"),
    Row(
        0, "unsigned", "meter", "an order without the utility's signature, or a time that needs it"
    ),
    Row(0, "order", "meter", "a genuine order that this meter cannot or must not carry out"),
    Row(0, "unlimited", "meter", "a genuine set_clock order without boot and uptime"),
    Row(0, "bounds", "both", "a mark beyond the head or below an older one"),
    Row(0, "gap", "twin", "entries after missing ones: they come again"),
    Row(0, "segment", "both", "a segment out of order or too late"),
    Row(0, "busy", "meter", "the queue of answers is full: the answer is dropped"),
    Row(0, "device", "both", "names another device"),
    Row(0, "counter", "meter", "owner record with an older counter"),
    Row(0, "conflict", "meter", "owner record: same counter or epoch, other content"),
    Row(0, "floor", "meter", "owner record with an active epoch below the floor"),
    Row(0, "nonce", "meter", "first owner record without this meter's hello nonce"),
)


def name_of(rows: tuple[Row, ...], number: int) -> str:
    """Return the name of a number in a table, or the number as text."""
    for row in rows:
        if row.number == number:
            return row.name
    return str(number)


def number_of(rows: tuple[Row, ...], name: str) -> int:
    """Return the number of a name.

    Raises:
        KeyError: there is no such name.
    """
    for row in rows:
        if row.name == name:
            return row.number
    raise KeyError(name)
