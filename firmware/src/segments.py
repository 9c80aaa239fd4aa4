"""Numbered records in a bounded set of segment files: appended, checked, the oldest overwritten.

A segment is a header and records with consecutive numbers; it is only ever appended to, and its
file is begun anew when it is the oldest and space is needed. A record counts from the moment its
last byte is synchronised: a torn one at the end is found by its CRC at the next start and written
over. Numbers missing between two segments are a gap (flash that lost what it held).

RAM: four small integers a segment and two cursors, whatever the records are.
Neighbours: `flash` below, `ring` above gives records their meaning.
"""

import struct

from crc import crc32

MAGIC = b"MTR1"
_HEADER = ">4s8sII"
HEADER_BYTES = 24
_RECORD = ">HI16s"
_RECORD_BYTES = 22
RECORD_OVERHEAD = _RECORD_BYTES + 4
MAX_BODY = 640
_PREFIX = "ring"


class SegmentError(OSError):
    """The medium does not hold what was written to it; the text says where."""


class Segments:
    """Records (seq, chain value before it, body) over at most `count` files of `size` bytes."""

    def __init__(self, flash, incarnation: bytes, count: int, size: int, oldest: int = 0) -> None:
        """Scan the files; what belongs to another incarnation or lies before `oldest` is no more.

        Args:
            flash: folder, see `flash.Flash`.
            incarnation: eight octets that every segment must bear.
            count: number of files, at least 3.
            size: bytes of one file; a record must fit in it.
            oldest: records below this number were given up already.
        """
        if count < 3 or size < HEADER_BYTES + RECORD_OVERHEAD + MAX_BODY:
            raise ValueError("ring: at least 3 segments of %d bytes" % (size,))
        self._flash = flash
        self._incarnation = incarnation
        self._count = count
        self._size = size
        self._segments = []  # [number, first seq, records, end offset], oldest first
        self._cursors = [(-1, 0, 0), (-1, 0, 0)]  # (next seq, segment number, offset)
        self._file = None
        self._scan(oldest)

    def _name(self, number: int) -> str:
        return _PREFIX + str(number % self._count)

    def _scan(self, oldest: int) -> None:
        found = []
        for name in self._flash.names():
            if name.startswith(_PREFIX):
                header = self._read_header(name)
                if header is None or self._name(header[0]) != name:
                    continue
                found.append(header)
        found.sort()
        end = oldest
        for number, first in found:
            if first < end:
                continue
            records, offset = self._measure(number, first)
            if records or number == found[-1][0]:
                self._segments.append([number, first, records, offset])
                end = first + records

    def _read_header(self, name: str) -> tuple | None:
        """Return (number, first seq), None if the segment is not ours or torn."""
        try:
            file = self._flash.open(name)
        except OSError:
            return None
        try:
            data = file.read(HEADER_BYTES)
        finally:
            file.close()
        if len(data) < HEADER_BYTES:
            return None
        magic, incarnation, number, first = struct.unpack_from(_HEADER, data, 0)
        if magic != MAGIC or incarnation != self._incarnation:
            return None
        check = struct.unpack_from(">I", data, HEADER_BYTES - 4)[0]
        return (number, first) if check == crc32(data[: HEADER_BYTES - 4]) else None

    def _measure(self, number: int, first: int) -> tuple:
        """Return (whole records, offset after the last of them) of a segment."""
        file = self._flash.open(self._name(number))
        try:
            records = 0
            offset = HEADER_BYTES
            file.seek(offset)
            while True:
                record = self._read_record(file, first + records)
                if record is None:
                    return records, offset
                records += 1
                offset += RECORD_OVERHEAD + len(record[1])
        finally:
            file.close()

    def _read_record(self, file, seq: int) -> tuple | None:
        """Return (chain value before, body) of the record at the file's position if it is whole."""
        head = file.read(_RECORD_BYTES)
        if len(head) < _RECORD_BYTES:
            return None
        length, number, before = struct.unpack(_RECORD, head)
        if number != seq or length > MAX_BODY:
            return None
        rest = file.read(length + 4)
        if len(rest) < length + 4:
            return None
        body = rest[:length]
        if struct.unpack_from(">I", rest, length)[0] != crc32(body, crc32(head)):
            return None
        return before, body

    @property
    def first(self) -> int | None:
        """Number of the oldest record, None without any."""
        for segment in self._segments:
            if segment[2]:
                return segment[1]
        return None

    @property
    def end(self) -> int | None:
        """Number after the newest record (or of an empty segment's first), None without any."""
        if not self._segments:
            return None
        return self._segments[-1][1] + self._segments[-1][2]

    def gaps(self) -> list:
        """Return [(first, last)] of the numbers missing between segments, oldest first."""
        gaps = []
        end = None
        for _number, first, records, _offset in self._segments:
            if end is not None and first > end:
                gaps.append((end, first - 1))
            end = first + records
        return gaps

    def next_victim(self, length: int) -> int | None:
        """Return the number that becomes the oldest if a body of `length` is appended.

        None if nothing must be overwritten. The owner makes it durable before it appends.
        """
        if not self._segments or self._fits(length) or len(self._segments) < self._count:
            return None
        return self._segments[1][1]

    def _fits(self, length: int) -> bool:
        return self._segments[-1][3] + RECORD_OVERHEAD + length <= self._size

    def append(self, seq: int, before: bytes, body: bytes) -> None:
        """Write a record; it is on the medium when this returns, or it never was there.

        Args:
            seq: `end`, or more to leave a gap.
            before: chain value before this record, sixteen octets.
            body: at most `MAX_BODY` octets.

        Raises:
            OSError: the medium refused; the record does not count.
        """
        if len(body) > MAX_BODY:
            raise ValueError("ring: body of %d bytes, at most %d" % (len(body), MAX_BODY))
        if seq != self.end or not self._fits(len(body)):
            self._begin(seq)
        segment = self._segments[-1]
        if self._file is None:
            self._file = self._flash.open(self._name(segment[0]))
        head = struct.pack(_RECORD, len(body), seq, before)
        check = struct.pack(">I", crc32(body, crc32(head)))
        try:
            self._file.seek(segment[3])
            self._flash.write(self._file, head + body + check)
        except OSError:
            self.close()
            raise
        segment[2] += 1
        segment[3] += RECORD_OVERHEAD + len(body)

    def _begin(self, first: int) -> None:
        self.close()
        number = self._segments[-1][0] + 1 if self._segments else 0
        if self._segments and not self._segments[-1][2]:
            number = self._segments.pop()[0]
        while self._segments and number - self._segments[0][0] >= self._count:
            self._segments.pop(0)
        header = struct.pack(_HEADER, MAGIC, self._incarnation, number, first)
        file = self._flash.create(self._name(number))
        try:
            self._flash.write(file, header + struct.pack(">I", crc32(header)))
        finally:
            file.close()
        self._segments.append([number, first, 0, HEADER_BYTES])

    def read(self, seq: int) -> tuple | None:
        """Return (chain value before, body), None if no segment holds this number.

        Raises:
            SegmentError: the record was whole when it was written and is not any more.
        """
        segment = self._find(seq)
        if segment is None:
            return None
        at = segment[1]
        offset = HEADER_BYTES
        slot = 1
        for index in (0, 1):
            cursor = self._cursors[index]
            if cursor[1] == segment[0] and at <= cursor[0] <= seq:
                slot = index
                at, _number, offset = cursor
        if self._file is not None and segment is self._segments[-1]:
            return self._read_at(self._file, segment, at, offset, seq, slot)
        file = self._flash.open(self._name(segment[0]))
        try:
            return self._read_at(file, segment, at, offset, seq, slot)
        finally:
            file.close()

    def _read_at(self, file, segment, at: int, offset: int, seq: int, slot: int) -> tuple:
        """Walk from record `at` at `offset` to `seq` and remember where the next one lies."""
        file.seek(offset)
        while at < seq:
            length = struct.unpack(">H", file.read(2))[0]
            offset += RECORD_OVERHEAD + length
            file.seek(offset)
            at += 1
        record = self._read_record(file, seq)
        if record is None:
            raise SegmentError("ring: record %d of segment %d is damaged" % (seq, segment[0]))
        cursor = (seq + 1, segment[0], offset + RECORD_OVERHEAD + len(record[1]))
        if slot:
            self._cursors[1] = self._cursors[0]
        self._cursors[0] = cursor
        return record

    def _find(self, seq: int):
        for segment in reversed(self._segments):
            if segment[1] <= seq:
                return segment if seq < segment[1] + segment[2] else None
        return None

    def close(self) -> None:
        """Close the file that is being appended to."""
        if self._file is not None:
            self._file.close()
            self._file = None
