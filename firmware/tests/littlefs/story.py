"""What a life on the flash has told, and what must then be kept after a cut.

A life runs once without a cut and tells `Story` each thing when it is promised. A cut at any operation
must leave what was told before it, or that and what was on its way. Neighbours: `parts` and `meters`,
whose lives these are; `power_cuts`.
"""

import nor_flash

FOLDER = nor_flash.MOUNT_POINT + "/state"


class Story:
    """What was told, with the number of the flash operations that there were at that time."""

    def __init__(self, device):
        self.device = device
        self.rows = {}

    def tell(self, name, value):
        """`value` holds from now on."""
        self.rows.setdefault(name, []).append((len(self.device.journal), value))

    def at(self, name, operations, before):
        """Return (value told before so many operations, or the one that was on its way)."""
        told = coming = before
        for row in self.rows.get(name, []):
            if row[0] > operations:
                return told, row[1]
            told = coming = row[1]
        return told, coming
