"""Drivers of what measures: one module a chip, without I/O of their own.

A driver is polled once a tick with the milliseconds that passed, over the small objects of `hal`
(uart, counter, output). Afterwards it has:

| attribute | meaning |
| --- | --- |
| `sample` | (frequency mHz, P W, Q var, U mV, I mA); None for what is not known |
| `energy_mj` | exact energy that was not taken yet, negative for export |
| `silent` | whether the chip has stopped answering |
| `lost` | whether energy has passed that nobody counted, since the last take |
| `late` | whether `energy_mj` came in while it was silent, so it belongs to no one tick |
| `measures` | names of what it can measure beside power: keys of `chip_front_end.REGISTERS_OF` |
| `count`, `resume(count)` | a counter that lives on in the chip while the processor starts again |

Who polls takes the energy and sets `energy_mj`, `lost` and `late` back. A poll that failed for want
of memory is made again, with its time: energy, and from where it goes on, change together, and
where energy is power times time that is the last thing a poll does.

Neighbours: `chip_front_end` makes one meter's front end of a driver, `calibration` its scales.
The HLW8012's constants are its manual's; those of BL0942 and BL0937 are their data sheets' as other
open drivers (ESPHome, OpenBK7231T_App, Tasmota) have them, which agree; those sheets were not at
hand. Tried against simulators with the same constants and the values of one real BL0942's packet,
on no real chip: hold a meter against a reference before its readings are believed.
"""


class Driver:
    """What every driver has; the defaults are those of one that counts in the processor."""

    sample: tuple = (None, None, None, None, None)
    energy_mj = 0
    silent = False
    lost = False
    late = False
    measures: tuple = ()
    count = None

    def poll(self, passed_ms: int) -> None:
        """Take what came in the last `passed_ms`, at least 1."""
        raise NotImplementedError

    def resume(self, count: "int | None") -> None:
        """Go on from a kept `count`; None: there is none, and the chip began with the processor."""
