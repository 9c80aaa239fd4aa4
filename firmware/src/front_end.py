"""What the metering task asks of a front end, and the answers of one that has nothing to add.

Neighbours: `measuring` asks; `electricity` (simulated) and `chip_front_end` answer.
"""


class FrontEnd:
    """A meter's sight of the supply; `supply` and `load_permille` tell it what is connected."""

    waveform = None
    """Half cycles for power quality; None where they are not seen."""
    absent: tuple = ()
    """Codes of the registers that this meter does not have."""
    apparent_of_rms = False
    """Whether the power factor is that of U · I instead of P and Q."""
    production = None
    """`counter.Counter` of a generator's own channel, None without one."""

    # After each tick:
    exact = None
    """`exact.Exact` of the tick where a counter has it; None where energy is power times time."""
    faults = 0
    """Status bits of a reading over this tick."""

    supply = True
    load_permille = 1000

    def edge_ms(self) -> int:
        """Return the ms until power may jump; 0 where nothing is known of it."""
        return 0

    def save(self) -> bytes:
        """Return what must survive a power cut together with the registers."""
        return b""

    def restore(self, kept: bytes) -> int:
        """Go on from what `save` gave, empty at the first start.

        Returns:
            Wh with which the import register begins over what it has.
        """
        del kept
        return 0
