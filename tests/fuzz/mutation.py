"""Bytes that are nearly right: good ones and words that mean something come in, changed ones go out. DER keeps its lengths right.

One state of the random numbers gives the same bytes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

_BYTES = (0x00, 0x01, 0x09, 0x0A, 0x0D, 0x20, 0x22, 0x2F, 0x30, 0x7F, 0x80, 0xC0, 0xED, 0xF4, 0xFF)


@dataclass(frozen=True, slots=True)
class Mutator:
    """``seeds``: what is good. ``words``: put in and put in the place of something."""

    seeds: Sequence[bytes]
    words: Sequence[bytes] = (b"",)

    def make(self, random: Random) -> bytes:
        data = bytearray(random.choice(self.seeds))
        for _ in range(random.choice((0, 1, 1, 1, 2, 3, 6))):
            self._change(data, random)
        return bytes(data)

    def _change(self, data: bytearray, random: Random) -> None:
        place = random.randint(0, len(data))
        end = min(len(data), place + random.choice((1, 1, 2, 8, 40)))
        match random.randint(0, 7):
            case 0 if place < len(data):
                data[place] ^= 1 << random.randint(0, 7)
            case 1 if place < len(data):
                data[place] = random.choice(_BYTES)
            case 2:
                data[place:place] = bytes([random.choice(_BYTES)])
            case 3:
                del data[place:end]
            case 4:
                data[place:place] = data[place:end] * random.choice((1, 1, 2, 20))
            case 5:
                other = random.choice(self.seeds)
                start = random.randint(0, len(other))
                data[place:end] = other[start : start + 60]
            case 6:
                data[place:end] = random.choice(self.words)
            case _:
                data[place:place] = random.choice(self.words)


# -- DER (X.690): a tree of tags, whose lengths are counted anew after each change

Node = tuple[int, "bytes | list[Node]"]
# Strings of each kind, whole numbers, times, identifiers, bits, nothing.
_TAGS = (
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x0A,
    0x0C,
    0x12,
    0x13,
    0x14,
    0x16,
    0x17,
    0x18,
    0x1C,
    0x1E,
    0x30,
    0x31,
    0x80,
    0x82,
)
_VALUES = (
    b"", b"\x00", b"\x01", b"\xff", b"\x80", bytes(21), b"\xff" * 9, b"\x7f" * 20, b"20991332250000Z", b"991231235959Z",
    b"99991231235959Z", b"00000101000000Z", b"700101000000Z", b"\xed\xa0\x80", b"a\x00b", b"\xd8\x00", b"*", b"\x0a\x00\x00\x01",
    bytes(16), b"x" * 300, b"\x55\x1d\x11", b"\x55\x1d\x13", b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", b"\x80\x01",
)  # fmt: skip


def der_nodes(data: bytes) -> list[Node]:
    """Raises ValueError or IndexError when it is no DER."""
    nodes: list[Node] = []
    place = 0
    while place < len(data):
        tag, size = data[place], data[place + 1]
        place += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[place : place + count], "big")
            place += count
        body = data[place : place + size]
        if len(body) != size or tag & 0x1F == 0x1F:
            raise ValueError(tag)
        place += size
        nodes.append((tag, der_nodes(body) if tag & 0x20 else _wrapped(tag, body)))
    return nodes


def _wrapped(tag: int, body: bytes) -> bytes | list[Node]:
    """Extensions are DER in octets: worth to be looked into."""
    if tag != 0x04 or len(body) < 2:
        return body
    try:
        return der_nodes(body)
    except (ValueError, IndexError):
        return body


def der_bytes(nodes: Sequence[Node]) -> bytes:
    parts = []
    for tag, value in nodes:
        body = value if isinstance(value, bytes) else der_bytes(value)
        size = len(body)
        if size < 0x80:
            length = bytes([size])
        else:
            count = (size.bit_length() + 7) // 8
            length = bytes([0x80 | count]) + size.to_bytes(count, "big")
        parts.append(bytes([tag]) + length + body)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class DerMutator:
    """``seeds``: whole structures, as ``der_nodes`` reads them."""

    seeds: Sequence[bytes]

    def make(self, random: Random) -> bytes:
        nodes = der_nodes(random.choice(self.seeds))
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            self._change(nodes, random)
        return der_bytes(nodes)

    def _change(self, nodes: list[Node], random: Random) -> None:
        place = nodes
        while True:  # down to somewhere
            inner = [value for _, value in place if isinstance(value, list) and value]
            if not inner or random.random() < 0.12:
                break
            place = random.choice(inner)
        if not place:
            return
        at = random.randrange(len(place))
        tag, value = place[at]
        match random.randint(0, 6):
            case 0:
                place[at] = (random.choice(_TAGS), value)
            case 1 | 2:
                place[at] = (tag, random.choice(_VALUES))
            case 3:
                del place[at]
            case 4:
                place.insert(at, place[at])
            case 5:
                place[at] = random.choice(place)
            case _:
                raw = bytearray(value if isinstance(value, bytes) else der_bytes(value))
                if raw:
                    raw[random.randrange(len(raw))] ^= 1 << random.randint(0, 7)
                place[at] = (tag, bytes(raw))
