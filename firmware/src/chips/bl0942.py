"""BL0942 over its UART: one packet with everything, and its own counter of energy.

Source: Shanghai Belling, BL0942 data sheet V1.06: packet (UART read of all registers), formulas
of I_RMS, V_RMS, WATT, CF_CNT and FREQ with the reference of 1.218 V. The meter asks with
0x58 | address, 0xAA; the chip answers 23 octets, low octet first:

    0x55, I_RMS 3, V_RMS 3, I_FAST_RMS 3, WATT 3 (signed), CF_CNT 3, FREQ 2, 0, STATUS 2, 0, sum

where the last is the complement of the sum of the asking octet and all before it. CF_CNT counts
pulses of 419,430.4 WATT-seconds (1638.4 · 256) in either direction and wraps at 2**24; the
direction is the sign of WATT in the packet that shows them. FREQ is 1 MHz / f.

Nothing is written, so no write protection (0x1D) is in the way and the registers are as after a
reset: MODE (0x19) 0x87, which is absolute counting, no clearing by reading, and RMS each 400 ms
(whole periods of 50 and of 60 Hz); GAIN_CR (0x1A) 16-fold, for which the formulas are; 4800 baud,
or 9600 with the pin SCLK_BPS high.

The sum lets one of 256 random packets by. So the third octets of FREQ (16 bits) and STATUS (10)
have to be 0 too, and a packet whose counter has moved further than the chip can count is refused,
unless the next one agrees with it. Neighbour: `chip_front_end`.
"""

from chips import Driver
from chips.pulses import PulseEnergy

READ = 0x58
ALL = 0xAA
HEADER = 0x55
PACKET_BYTES = 23
VREF_MV = 1218
SILENT_MS = 3000
"""Without a packet for so long, and for two ticks, the chip has stopped answering."""
REPLY_MS = 250
"""Longer than an answer takes: 23 octets at 4800 baud are 53 ms."""
BOOT_MS = 60000
"""What a chip may have counted for, at most, before the first look after power came back."""
AWAY_MS = 86400000
"""The same after another start of the processor, since the registers were kept."""
MOST_A_SECOND = 20
"""CF_CNT at the largest WATT, 2**23 / 419430.4."""
_WRAP = 0xFFFFFF


def circuit(shunt_uohm: int, divider_ohm: list) -> dict:
    """Return quantity → (numerator, denominator) of a count: mV, mA, mW; mJ of a pulse.

    Args:
        shunt_uohm: the resistor that the current passes.
        divider_ohm: [whole, lower part] of the voltage divider.
    """
    whole, lower = divider_ohm
    power = (VREF_MV * VREF_MV * whole, 3537 * 1000 * shunt_uohm * lower)
    return {
        "voltage": (VREF_MV * whole, 73989 * 1000 * lower),
        "current": (VREF_MV * 1000, 305978 * shunt_uohm),
        "active_power": power,
        "energy": (power[0] * 4194304, power[1] * 10),
    }


def parse_packet(packet: bytes, address: int) -> "tuple | None":
    """Return (I_RMS, V_RMS, WATT, CF_CNT, FREQ) as counted; None if it is no packet of the chip."""
    if len(packet) != PACKET_BYTES or packet[0] != HEADER or packet[18] or packet[21]:
        return None
    total = READ | address
    for octet in packet[:-1]:
        total += octet
    if total & 0xFF ^ 0xFF != packet[-1]:
        return None
    watt = int.from_bytes(packet[10:13], "little")
    return (
        int.from_bytes(packet[1:4], "little"),
        int.from_bytes(packet[4:7], "little"),
        watt - ((watt & 0x800000) << 1),
        int.from_bytes(packet[13:16], "little"),
        int.from_bytes(packet[16:18], "little"),
    )


class Bl0942(Driver):
    """Asks once a tick, takes the answer in the next: values are as old as a tick."""

    measures = ("rms", "frequency", "direction")

    def __init__(self, uart, scales: dict, energy: tuple, address: int = 0) -> None:
        """Attach a chip.

        Args:
            uart: `read()` → octets that are there, `write(octets)`.
            scales: "voltage", "current", "active_power", "frequency" → `calibration.Scale`.
            energy: (mJ, pulses) of CF_CNT.
            address: of the chip, 0 to 3.
        """
        self._uart = uart
        self._scales = scales
        self._address = address
        self.energy = PulseEnergy(*energy)
        self._buffer = b""
        self._asked_ms = REPLY_MS
        self._unheard_ms = 0
        self._misses = 0
        self._doubtful: "int | None" = None
        self.bad_sums = 0
        self.implausible = 0

    def resume(self, count: "int | None") -> None:
        """Go on from a kept counter; None: without one, the chip began with the processor."""
        self.count = 0 if count is None else count
        self._unheard_ms = BOOT_MS if count is None else AWAY_MS

    def poll(self, passed_ms: int) -> None:
        """Take the packets that came and ask for the next."""
        if self._unheard_ms >= SILENT_MS:
            self.late = True
        unheard_ms, is_heard = self._unheard_ms + passed_ms, False
        self._buffer += self._uart.read()
        packet = self._next_packet()
        while packet is not None:
            if self._take(packet, unheard_ms):
                unheard_ms, is_heard = 0, True
            packet = self._next_packet()
        asked_ms = self._asked_ms + passed_ms
        if asked_ms >= REPLY_MS:
            self._uart.write(bytes((READ | self._address, ALL)))
            asked_ms = 0
        self._unheard_ms, self._asked_ms = unheard_ms, asked_ms
        self._misses = 0 if is_heard else self._misses + 1
        if self._misses > 2 and unheard_ms >= SILENT_MS:
            self.silent = True
            self.sample = Driver.sample

    def _next_packet(self) -> "tuple | None":
        """Return the next packet whose sum is right, whatever lies before it; count the others."""
        buffer = self._buffer
        while True:
            at = buffer.find(b"\x55")
            buffer = buffer[at:] if at >= 0 else b""
            if len(buffer) < PACKET_BYTES:
                self._buffer = buffer
                return None
            packet = parse_packet(buffer[:PACKET_BYTES], self._address)
            if packet is not None:
                self._buffer = buffer[PACKET_BYTES:]
                return packet
            self.bad_sums += 1
            buffer = buffer[1:]

    def _take(self, packet: tuple, unheard_ms: int) -> bool:
        """Count what a packet says; return whether it can be."""
        current, voltage, watt, count, period = packet
        pulses = self._pulses(count, unheard_ms)
        if pulses is None:
            self.implausible += 1
            return False
        scales = self._scales
        energy_mj, remainder = self.energy.split(pulses)
        energy_mj = self.energy_mj + (-energy_mj if watt < 0 else energy_mj)
        sample = (
            scales["frequency"].of(1000000000 // period) if period else None,
            scales["active_power"].of(watt),
            None,
            scales["voltage"].magnitude(voltage),
            scales["current"].magnitude(current),
        )
        self.energy_mj, self.energy.remainder, self.count = energy_mj, remainder, count
        self.sample = sample
        self.silent = False
        return True

    def _pulses(self, count: int, unheard_ms: int) -> "int | None":
        """Return the pulses since the last packet; None if the chip cannot have counted so many.

        A chip that started again counts from zero. Two packets in a row that agree with each other
        are believed: then it is our mark that is wrong, and what was counted meanwhile is unknown.
        """
        before, doubtful = self.count, self._doubtful
        most = MOST_A_SECOND * (unheard_ms // 1000 + 2)
        self._doubtful = None
        if before is None:
            return 0
        for pulses in (count - before & _WRAP, count):
            if pulses <= most:
                return pulses
        if doubtful is not None and count - doubtful & _WRAP <= most:
            self.lost = True
            return 0
        self._doubtful = count
        return None
