"""The fixed header (MQTT 3.1.1, 2.2): bytes in at any chunking, whole packets out; no packet may pass the size limit."""

from __future__ import annotations

from .packets import MqttError, Reason

# A variable byte integer has at most four bytes (MQTT 3.1.1, 2.2.3).
_MAX_LENGTH_BYTES = 4


class Framer:
    """Cuts a stream into packets. ``error`` is set, once, when the stream can't be cut any further; what came before stays good."""

    __slots__ = ("_buffer", "_wanted", "error", "limit")

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self._wanted = 0  # the size of the packet that has begun in the buffer, as soon as it is known
        self.limit = limit
        self.error: MqttError | None = None

    @property
    def buffered(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """Return the packets that are whole now, each with the length of its fixed header."""
        if self.error is not None:
            return []
        if not self._buffer and (header := _header_of_one(data)) and len(data) <= self.limit:
            return [(data, header)]
        if self._buffer:
            # Grown in place, and looked at when it is whole: anybody may send a large packet in very small pieces.
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        self._wanted = 0
        packets: list[tuple[bytes, int]] = []
        position, size = 0, len(data)
        while size - position >= 2:
            length, shift, header = data[position + 1], 0, 2
            if length & 0x80:
                length &= 0x7F
                whole = False
                while position + header < size:
                    byte = data[position + header]
                    header += 1
                    shift += 7
                    length |= (byte & 0x7F) << shift
                    if byte < 0x80:
                        whole = True
                        break
                    if header > _MAX_LENGTH_BYTES:
                        self.error = MqttError(Reason.MALFORMED_PACKET, "remaining length has more than four bytes")
                        return packets
                if not whole:
                    break
            if header + length > self.limit:
                self.error = MqttError(
                    Reason.PACKET_TOO_LARGE, f"packet of {header + length} bytes, at most {self.limit} are taken"
                )
                return packets
            end = position + header + length
            if end > size:
                self._wanted = end - position
                break
            packets.append((data[position:end], header))
            position = end
        self._buffer += data[position:] if position else data
        return packets


def _header_of_one(data: bytes) -> int:
    """The length of its fixed header if ``data`` is exactly one packet below 16 kB, as it nearly always is; else 0."""
    size = len(data)
    if size < 2:
        return 0
    length = data[1]
    if length < 0x80:
        return 2 if size == 2 + length else 0
    return 3 if size > 2 and data[2] < 0x80 and size == 3 + (length & 0x7F | data[2] << 7) else 0


def length_of_length(number: int) -> int:
    """How many bytes ``variable_length`` makes of it; a client may use more than it needs (only MQTT 5 forbids that)."""
    return 1 if number < 0x80 else 2 if number < 0x4000 else 3 if number < 0x20_0000 else 4


def variable_length(number: int) -> bytes:
    """Encode a remaining length (MQTT 3.1.1, 2.2.3)."""
    if number < 0x80:
        return bytes((number,))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
