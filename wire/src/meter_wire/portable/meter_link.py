"""The meter's end of link version 1: up to two epochs over one ring, no I/O and no clock.

The shell feeds what arrives and `now_ms`, and polls for what to publish:

    link = MeterLink(device, k_meter, ring, info, random=os.urandom)
    link.connected(now_ms)                     # the broker session is up, `epochs` subscribed
    event = link.receive(epoch, payload, now_ms, retained, dup)      # topic .../<epoch>/down
    event = link.receive_owner(payload, now_ms)                      # topic mt/<device>/owner
    while (out := link.poll(now_ms)):          # (epoch, payload); epoch 0 is mt/<device>/hello
        publish(out)

`now_ms` is the meter's uptime in milliseconds, which never wraps (`clock.Uptime` makes it from
ticks). Subscribe to the `down` topics of `link.epochs` whenever an event arrived or poll gave
something: the list changes by owner records and farewells. Nothing is deleted at an ack: marks
are handed to `ring.release`, and only for the active epoch.

Events are tuples:
    ("read", epoch, id, codes or None)            answer with link.answer(..., entry=)
    ("subscribe", epoch, id, codes or None, period_s, duration_s)   link.answer, then link.live
    ("write", epoch, id, target, index, value, seconds)
    ("order", epoch, id, order, signature checked) supply command, signed by the utility
    ("forward", epoch, id, data)                  answer with data=
    ("time", epoch, id or None, utc_ms, signed)   id None: from WELCOME, no answer
    ("owner", owner record bytes)                 store them in flash before the next poll
    ("reread",)                                   subscribe to mt/<device>/owner again
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from meter_wire.ports import Ring

MAX_SESSIONS = 2


class MeterInfo:
    """What HELLO says about the meter; the shell keeps it up to date."""

    def __init__(self, boot: int, firmware: str, description: bytes) -> None:
        """`description`: DESCRIBE body, from `description.encode_description` (may be b"")."""
        self.boot = boot
        self.firmware = firmware
        self.description = description
        self.clock_state = 0
        self.capabilities = 0
        self.frame_limit = 768


class MeterLink:
    """One per meter and broker."""

    def __init__(
        self,
        device: str,
        meter_key: bytes,
        ring: "Ring",
        info: MeterInfo,
        random: "Callable[[int], bytes]",
        owner: bytes = b"",
        verify_utility: "Callable[[bytes, bytes], bool] | None" = None,
    ) -> None:
        """Begin without a connection.

        Args:
            device: device id.
            meter_key: K_meter, 32 bytes.
            ring: where readings and events wait.
            info: the rest of HELLO.
            random: n → n random bytes, for nonces.
            owner: owner record last accepted, from flash; b"" on a new meter.
            verify_utility: (order, signature) → genuine; None refuses every signed order.
        """
        self.spread_ms = 0
        """Longest wait before an upload; the wait itself is a hash of the device id."""
        self.refused: dict[str, int] = {}
        """Refusals by name, as in `tables.REFUSALS`."""

    @property
    def epochs(self) -> list[int]:
        """Epochs whose `down` topic is to be subscribed."""
        raise NotImplementedError

    def connected(self, now_ms: int) -> None:
        """Begin a session with each epoch: the broker session is up and subscribed."""
        raise NotImplementedError

    def disconnected(self) -> None:
        """Forget the sessions: the broker session has ended."""
        raise NotImplementedError

    def receive(
        self, epoch: int, payload: bytes, now_ms: int, retained: bool = False, dup: bool = False
    ) -> "tuple[object, ...] | None":
        """Take a message of `mt/<device>/<epoch>/down`; never raises for what it contains."""
        raise NotImplementedError

    def receive_owner(self, payload: bytes, now_ms: int) -> "tuple[object, ...] | None":
        """Take a message of `mt/<device>/owner`; never raises for what it contains."""
        raise NotImplementedError

    def poll(self, now_ms: int) -> "tuple[int, bytes] | None":
        """Return the next (epoch, payload) to publish, None when there is nothing to do now."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send what waits for the spread now (an alarm)."""
        raise NotImplementedError

    def answer(
        self, epoch: int, command: int, code: int, entry: bytes = b"", data: bytes = b""
    ) -> None:
        """Queue an ANSWER; codes are `tables.ANSWERS`.

        Args:
            epoch: as in the event.
            command: id, as in the event.
            code: 0 ok or delivered, 1 absent, 2 expired, 3 refused, ...
            entry: result of `entry.encode_reading`, for a read.
            data: reply of the EMS, at most 512 bytes.
        """
        raise NotImplementedError

    def live(self, epoch: int, command: int, entry: bytes) -> bool:
        """Queue a LIVE reading of a subscription; False when the epoch has no open session."""
        raise NotImplementedError
