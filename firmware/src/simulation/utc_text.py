"""UTC written as text in configurations, as MicroPython has no datetime."""


def days_before(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the Gregorian calendar."""
    year -= month <= 2
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - 719468


def parse_utc(text: object, field: str) -> int:
    """Return the Unix second of "YYYY-MM-DDTHH:MM:SSZ".

    Raises:
        ValueError: naming `field`.
    """
    if isinstance(text, str) and len(text) == 20:
        parts = (text[0:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
        marks = text[4] + text[7] + text[10] + text[13] + text[16] + text[19]
        if marks == "--T::Z" and "".join(parts).isdigit():
            year, month, day, hour, minute, second = [int(part) for part in parts]
            if 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60:
                return days_before(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    raise ValueError(f"{field}: must look like 2016-06-14T07:30:00Z")
