# ruff: noqa: F821 - words of the native and the inline compiler
"""What of the meter's work is counted on the emulated Cortex-M3: one line a case, in timer ticks.

Runs there alone, started by `firmware/instructions.py`. A case is a function that is called once to warm up
and once between two looks at a timer of the machine (CMSDK timer 0 of the MPS2-AN385; Arm DDI
0479, section 4.4), without a collection of garbage in between.
"""

import gc
from binascii import unhexlify

import micropython
import uctypes
from isqrt import isqrt
from meter_wire.portable.entry import encode_reading, encode_register
from meter_wire.portable.keys import hmac_sha256
from metering import Meter

TIMER = uctypes.struct(
    0x40000000,
    {"control": 0 | uctypes.UINT32, "value": 4 | uctypes.UINT32, "reload": 8 | uctypes.UINT32},
)
LONGEST = 0x3FFFFFFF
"""Ticks until the timer begins anew: the largest integer that is no object of its own."""
T0 = 1795000500
KEY = bytes(range(32))
FRAME = bytes(512)
ONE_PHASE = (50000, [(700, 100, 230000, 3074)])
THREE_PHASES = (
    50000,
    [(700, 100, 230000, 3074), (2100, 20, 229000, 9170), (-400, 5, 231000, 1731)],
)
SAMPLES = bytearray(160)
"""One cycle, 80 samples of 16 bits: a sawtooth."""


def rms(samples) -> int:
    """Return the RMS of samples in bytecode: what a driver without native code would do."""
    squares = 0
    for sample in samples:
        squares += sample * sample
    return isqrt(squares // len(samples))


@micropython.viper
def sum_squares(samples: ptr16, count: int) -> int:
    squares = 0
    for place in range(count):
        sample = int(samples[place])
        if sample > 32767:
            sample -= 65536
        squares += (sample * sample) >> 8
    return squares


@micropython.asm_thumb
def loop(r0):
    label(BEGIN)
    sub(r0, r0, 1)
    bne(BEGIN)


def ticks(call) -> int:
    """Return the ticks of one call."""
    call()
    gc.collect()
    begin = TIMER.value
    call()
    return begin - TIMER.value


def metering(phases: int, sample):
    """Return a function that is one metering tick of a second."""
    meter = Meter(b"1", phases)
    at = [T0 + 1]

    def tick():
        at[0] += 1
        meter.tick(sample, 1000, at[0])

    return tick


def judging(phases: int):
    """Return a function that judges the quality of a second's 100 half cycles.

    Its parts are made when it warms up: they would move the heap of the other cases.
    """
    parts, at = [], [T0 + 1]

    def judge():
        if not parts:
            from quality import Quality

            values = [[230000 + place for place in range(100)]] * phases
            parts.extend((Quality(phases), values, [230050] * phases))
        quality, values, voltages = parts
        at[0] += 1
        quality.mark()
        quality.half_cycles(values, 10000, at[0], 0, 1000000)
        quality.tick(voltages, 1000, at[0], 0)

    return judge


def encoding(phases: int, sample):
    """Return a function that takes and encodes one reading with all registers."""
    meter = Meter(b"1", phases)
    meter.tick(sample, 1000, T0 + 1)

    def encode():
        rows = [encode_register(*row) for row in meter.snapshot(T0)]
        return encode_reading(0, T0, 1, 1, rows)

    return encode


def cases(words):
    """Return [(name, function)]; `words`: the samples as integers."""
    code = unhexlify("0100010800ff")
    return [
        ("loop_0", lambda: loop(1000)),
        ("loop_1000", lambda: loop(2000)),
        ("nothing", lambda: None),
        ("hmac_512", lambda: hmac_sha256(KEY, FRAME)),
        ("reading_1", lambda: encode_reading(0, T0, 1, 1, [encode_register(code, 123456)])),
        ("reading_all", encoding(1, ONE_PHASE)),
        ("reading_all_3", encoding(3, THREE_PHASES)),
        ("rms_80", lambda: rms(words)),
        ("rms_80_viper", lambda: isqrt(sum_squares(SAMPLES, 80) // 80) << 4),
        ("tick_1", metering(1, ONE_PHASE)),
        ("tick_3", metering(3, THREE_PHASES)),
        ("quality_1", judging(1)),
        ("quality_3", judging(3)),
    ]


def main() -> None:
    """Count every case."""
    words = []
    for place in range(80):
        word = (place - 40) * 800
        words.append(word)
        SAMPLES[2 * place] = word & 0xFF
        SAMPLES[2 * place + 1] = (word >> 8) & 0xFF
    TIMER.reload = LONGEST
    TIMER.value = LONGEST
    TIMER.control = 1
    for name, call in cases(words):
        print(name, ticks(call))
