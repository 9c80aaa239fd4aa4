"""Time-of-use calendar: which of the rates 1-4 is active, and in which month we bill.

Local time is used here and nowhere else in the meter. The zone is a table of UTC offsets in the
configuration or the utility's order (a board has no time zone database). Switches lie on quarter
hours, so no interval of a capture period that divides one is divided between two rates; in a longer
one each rate register has its share. In the manner of the activity calendar of IEC 62056-6-2
(class 20), without seasons. Neighbour: `calendars`, which knows the one in force.
"""

RATES = 4


class TariffError(ValueError):
    """The configured calendar is wrong; the text names the field."""


def minute_of_day(text: str, field: str) -> int:
    """Return the minutes after midnight of "HH:MM".

    Raises:
        TariffError: not a time of day on a quarter hour.
    """
    parts = text.split(":")  # an ESP8266's strings have no partition
    if len(parts) == 2 and parts[0].isdigit() and parts[1].isdigit() and len(parts[1]) == 2:
        hours, minutes = int(parts[0]), int(parts[1])
        if hours < 24 and minutes < 60 and minutes % 15 == 0:
            return hours * 60 + minutes
    raise TariffError(f"{field}: {text!r} is not HH:MM on a quarter hour")


def month_of(day: int) -> int:
    """Return year * 12 + month - 1 for a day counted from 1970-01-01 (Gregorian calendar)."""
    day += 719468
    era = day // 146097
    day_of_era = day - era * 146097
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153 + 2
    return (year + era * 400) * 12 + month


class Calendar:
    """Weekly switching times in local time: `rate(utc_s)` and `month(utc_s)`."""

    def __init__(
        self, switches: list[tuple[str, str, int]], offsets: list[tuple[int, int]]
    ) -> None:
        """Read the calendar of the configuration.

        Args:
            switches: rows [weekdays, "HH:MM", rate]; weekdays as ISO digits, Monday is 1: "12345".
            offsets: rows [from UTC second, offset in seconds], ascending; empty means UTC.

        Raises:
            TariffError: naming the row and the fault.
        """
        self.switches = []
        for number, row in enumerate(switches):
            field = f"tariff.switches[{number}]"
            if len(row) != 3 or not isinstance(row[0], str) or not isinstance(row[1], str):
                raise TariffError(field + ': must be [weekdays, "HH:MM", rate]')
            if not row[0] or row[0].strip("1234567"):
                raise TariffError(field + ": weekdays are digits 1 (Monday) to 7")
            if row[2] not in (1, 2, 3, 4):
                raise TariffError(field + ": rate must be 1 to 4")
            self.switches.append((minute_of_day(row[1], field), row[0], row[2]))
        self.switches.sort()
        self.offsets: list[tuple[int, int]] = []
        for number, pair in enumerate(offsets):
            field = f"tariff.offsets[{number}]"
            if len(pair) != 2 or not isinstance(pair[0], int) or not isinstance(pair[1], int):
                raise TariffError(field + ": must be [UTC second, offset in seconds]")
            if pair[1] % 900 or not -50400 <= pair[1] <= 50400:
                raise TariffError(field + ": offset must be whole quarter hours within 14 h")
            if self.offsets and pair[0] <= self.offsets[-1][0]:
                raise TariffError(field + ": must be later than the row before")
            self.offsets.append((pair[0], pair[1]))

    def local(self, utc_s: int) -> int:
        """Return local seconds (UTC plus the offset in force; the first one before the table)."""
        offset = self.offsets[0][1] if self.offsets else 0
        for start, value in self.offsets:
            if utc_s < start:
                break
            offset = value
        return utc_s + offset

    def rate(self, utc_s: int) -> int:
        """Return the active rate: the last switch at or before now, up to a week back; else 1."""
        day, second = divmod(self.local(utc_s), 86400)
        minute = second // 60
        for back in range(8):
            weekday = str((day - back + 3) % 7 + 1)
            for start, weekdays, rate in reversed(self.switches):
                if weekday in weekdays and start <= minute:
                    return rate
            minute = 1440
        return 1

    def month(self, utc_s: int) -> int:
        """Return the billing month in local time as year * 12 + month - 1."""
        return month_of(self.local(utc_s) // 86400)
