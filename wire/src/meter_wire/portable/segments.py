"""Items longer than a frame, cut into numbered segments and put together again.

The meter loads this only when it is needed.
"""

from .constant import const
from .frame import need, need_uint
from .tlv import RemoteProtocolError, pack

_OVERHEAD = const(22)
_TAG_DATA = const(39)
_TAG_ITEM = const(48)
_TAG_INDEX_OF = const(49)
_TAG_COUNT_OF = const(50)
_TAG_TYPE_OF = const(51)
_SEGMENT_ROOM = const(18)
_MAX_ITEM = const(4096)
_ITEM_TIMEOUT_MS = const(30000)


def split(kind: int, body: bytes, limit: int, item: int) -> list[bytes]:
    """Return the bodies of the segments of a body that does not fit into a frame of `limit`."""
    size = limit - _OVERHEAD - _SEGMENT_ROOM
    count = (len(body) + size - 1) // size
    return [
        pack(
            _TAG_ITEM,
            item,
            _TAG_INDEX_OF,
            index,
            _TAG_COUNT_OF,
            count,
            _TAG_TYPE_OF,
            kind,
            _TAG_DATA,
            body[index * size : (index + 1) * size],
        )  # fmt: skip
        for index in range(count)
    ]


class Assembler:
    """Puts segments together; one item at a time, in order, within 30 s of its first."""

    def __init__(self, limit: int = _MAX_ITEM) -> None:
        """`limit`: longest item in bytes."""
        self._limit = limit
        self._clear()

    def _clear(self) -> None:
        self._item = self._kind = self._count = -1
        self._since_ms = self._index = self._length = 0
        self._parts: list[bytes] = []

    def feed(self, fields: dict[int, bytes], now_ms: int) -> tuple[int, bytes] | None:
        """Take a segment; return (frame type, body) with the last one of an item.

        Raises:
            RemoteProtocolError: `malformed`, `segment` or `oversized`; the item is dropped.
        """
        item = need_uint(fields, _TAG_ITEM, 2)
        index = need_uint(fields, _TAG_INDEX_OF, 1)
        count = need_uint(fields, _TAG_COUNT_OF, 1)
        kind = need_uint(fields, _TAG_TYPE_OF, 1)
        data = need(fields, _TAG_DATA)
        if index == 0:
            self._clear()
            self._item, self._count, self._kind, self._since_ms = item, count, kind, now_ms
        late = now_ms - self._since_ms > _ITEM_TIMEOUT_MS
        if (item, count, kind, index) != (self._item, self._count, self._kind, self._index) or late:
            self._clear()
            raise RemoteProtocolError("segment")
        self._length += len(data)
        if self._length > self._limit:
            self._clear()
            raise RemoteProtocolError("oversized")
        self._parts.append(data)
        self._index += 1
        if self._index < count:
            return None
        body = b"".join(self._parts)
        self._clear()
        return kind, body
