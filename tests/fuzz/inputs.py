"""What the fuzzer feeds: streams of bytes made of the wire's cases, of a grammar of packets, and of nothing at all.

One seed gives the same inputs again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.integration import octets, octets_v5, packets, packets_v5

_LARGEST_SEED = 2000  # longer ones would only be slower
_INTERESTING = (0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x7F, 0x80, 0xC0, 0xE0, 0xED, 0xF4, 0xFF)
_FIRST = (0x10, 0x30, 0x31, 0x32, 0x33, 0x34, 0x3C, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0)
# Strings of MQTT that are none, or nearly: ill-formed UTF-8, U+0000, surrogates, too long, wildcards.
_TEXTS = (
    b"", b"a", b"a/b", b"a/+", b"#", b"/", b"$SYS/a", b"$share/g/a", b"$share/g", b"$share//a", b"+/#", b"a#",
    "\u00e9".encode(), "\U0001f6f8".encode(), b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80",
    b"\xf4\x90\x80\x80", b"x" * 300,
)  # fmt: skip

SEEDS = tuple(
    case.sent
    for table in (packets.FIRST_PACKETS, packets.AFTER_THE_LOGIN, packets_v5.FIRST_PACKETS, packets_v5.AFTER_THE_LOGIN)
    for case in table
    if 0 < len(case.sent) <= _LARGEST_SEED
)


class Inputs:
    def __init__(self, source: random.Random) -> None:
        self.random = source

    def stream(self) -> bytes:
        """A few packets, good and bad, or noise."""
        draw = self.random.random()
        if draw < 0.45:
            return self.mutated(self.random.choice(SEEDS))
        if draw < 0.9:
            return b"".join(self.packet() for _ in range(self.random.randint(1, 3)))
        if draw < 0.97:
            return self.random.randbytes(self.random.randint(0, 60))
        return bytes([self.random.choice(_FIRST)]) + self.random.randbytes(self.random.randint(0, 40))

    def pieces(self, stream: bytes) -> list[bytes]:
        """``stream`` as the network may cut it."""
        draw = self.random.random()
        if draw < 0.5 or len(stream) < 2:
            return [stream]
        if draw < 0.6:
            return [stream[index : index + 1] for index in range(len(stream))]
        places = sorted(self.random.randint(0, len(stream)) for _ in range(self.random.randint(1, 4)))
        return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]

    # -- mutation

    def mutated(self, seed: bytes) -> bytes:
        data = bytearray(seed)
        for _ in range(self.random.randint(0, 5)):
            self._mutate(data)
        if self.random.random() < 0.5:
            return self._framed(data)
        return bytes(data)

    def _mutate(self, data: bytearray) -> None:
        pick = self.random
        place = pick.randint(0, len(data))
        end = min(len(data), place + pick.randint(1, 8))
        match pick.randint(0, 6):
            case 0 if place < len(data):
                data[place] ^= 1 << pick.randint(0, 7)
            case 1 if place < len(data):
                data[place] = pick.choice(_INTERESTING)
            case 2:
                data[place:place] = bytes([pick.choice(_INTERESTING)])
            case 3:
                del data[place:end]
            case 4:
                data[place:place] = data[place:end]
            case 5:
                other = pick.choice(SEEDS)
                start = pick.randint(0, len(other))
                data[place:] = other[start:]
            case _:
                data[place:place] = octets.text(pick.choice(_TEXTS))

    @staticmethod
    def _framed(data: bytearray) -> bytes:
        """With a remaining length that is right, so that the inside is read too."""
        return octets.packet(data[0], bytes(data[2:])) if data else b""

    # -- grammar

    def packet(self, level: int | None = None) -> bytes:
        level = level or self.random.choice((4, 5))
        kind = self.random.choice(
            (self._connect, self._publish, self._publish, self._publish, self._acknowledgement, self._subscribe,
             self._subscribe, self._unsubscribe, self._small)
        )  # fmt: skip
        return kind(level)

    def text(self) -> bytes:
        return self.random.choice(_TEXTS[:8]) if self.random.random() < 0.8 else self.random.choice(_TEXTS)

    def number(self) -> int:
        return self.random.choice((0, 1, 2, 3, 10, 127, 128, 255, 65_535, self.random.randint(0, 65_535)))

    def properties(self, level: int, makers: tuple[Callable[[Inputs], bytes], ...]) -> bytes:
        if level != 5:
            return b""
        count = self.random.choice((0, 0, 0, 1, 1, 2, 5))
        if self.random.random() < 0.1:
            makers = _EVERY
        each = [self.random.choice(makers)(self) for _ in range(count)]
        if self.random.random() < 0.03:
            return self.random.randbytes(self.random.randint(0, 6))
        return octets_v5.properties(*each)

    def _connect(self, level: int) -> bytes:
        return self.connect(level, flags=self.random.randint(0, 255) if self.random.random() < 0.3 else None)

    def connect(self, level: int, *, flags: int | None = None, client_id: bytes | None = None) -> bytes:
        """``flags`` None: those that fit what follows."""
        pick = self.random
        parts = [self.text() if client_id is None else client_id]
        fitting = 0xC0 | (0x02 if pick.random() < 0.5 else 0)
        will = b""
        if pick.random() < 0.4:
            fitting |= 0x04 | pick.randint(0, 2) << 3 | pick.choice((0, 0x20))
            will = self.properties(level, _WILL) + octets.text(self.text()) + octets.text(self.text())
        body = octets.text(b"MQTT") + bytes([level, fitting if flags is None else flags])
        body += pick.choice((0, 1, 60, 65_535)).to_bytes(2, "big") + self.properties(level, _CONNECT)
        return octets.packet(0x10, body + octets.text(parts[0]) + will + octets.text(b"fuzz") + octets.text(b"x"))

    def _publish(self, level: int) -> bytes:
        pick = self.random
        first = 0x30 | pick.choice((0, 0, 1, 2, 4, 8)) | pick.choice((0, 2, 4))
        identifier = self.number().to_bytes(2, "big") if first & 0x06 else b""
        told = self.properties(level, _PUBLISH)
        return octets.packet(
            first, octets.text(self.text()) + identifier + told + pick.randbytes(pick.choice((0, 1, 30)))
        )

    def _acknowledgement(self, level: int) -> bytes:
        first = self.random.choice((0x40, 0x50, 0x62, 0x70))
        body = self.number().to_bytes(2, "big")
        if level == 5 and self.random.random() < 0.6:
            body += self.random.choice((0x00, 0x10, 0x80, 0x87, 0x92, 0xFF)).to_bytes(1, "big")
            if self.random.random() < 0.5:
                body += self.properties(level, _TOLD)
        return octets.packet(first, body)

    def _subscribe(self, level: int) -> bytes:
        wanted = b"".join(
            octets.text(self.text()) + bytes([self.random.choice((0, 1, 2, 3, 4, 0x18, 0x2C, 0x40))])
            for _ in range(self.random.randint(0, 4))
        )
        told = self.properties(level, _SUBSCRIBE)
        return octets.packet(0x82, self.number().to_bytes(2, "big") + told + wanted)

    def _unsubscribe(self, level: int) -> bytes:
        gone = b"".join(octets.text(self.text()) for _ in range(self.random.randint(0, 3)))
        return octets.packet(0xA2, self.number().to_bytes(2, "big") + self.properties(level, _TOLD) + gone)

    def _small(self, level: int) -> bytes:
        match self.random.randint(0, 4):
            case 0 | 1:
                return octets.PINGREQ
            case 2 if level == 5:
                return octets.packet(0xE0, bytes([self.random.choice((0, 4, 0x80))]) + self.properties(level, _END))
            case 3 if level == 5:
                return octets.packet(
                    0xF0, bytes([self.random.choice((0, 0x18, 0x19))]) + self.properties(level, _EVERY)
                )
            case _:
                return octets.DISCONNECT


def _property(make: Callable[..., bytes], *values: Callable[[Inputs], object]) -> Callable[[Inputs], bytes]:
    return lambda inputs: make(*(value(inputs) for value in values))


_number, _words = Inputs.number, Inputs.text
_byte: Callable[[Inputs], int] = lambda inputs: inputs.random.choice((0, 1, 2, 255))  # noqa: E731
_user = _property(octets_v5.user_property, _words, _words)
_why = _property(octets_v5.reason_string, lambda _: "why")
_expiry = _property(octets_v5.session_expiry, _number)
_MESSAGE = (
    _property(octets_v5.payload_format, _byte),
    _property(octets_v5.message_expiry, _number),
    _property(octets_v5.content_type, _words),
    _property(octets_v5.response_topic, _words),
    _property(octets_v5.correlation, _words),
    _user,
)
_PUBLISH = (*_MESSAGE, _property(octets_v5.topic_alias, lambda inputs: inputs.random.choice((0, 1, 2, 32, 33))))
_WILL = (*_MESSAGE, _property(octets_v5.will_delay, _number))
_CONNECT = (
    _expiry,
    _user,
    _property(octets_v5.receive_maximum, _number),
    _property(octets_v5.maximum_packet_size, lambda inputs: inputs.random.choice((0, 1, 10, 40, 1000, 0xFFFF_FFFF))),
    _property(octets_v5.topic_alias_maximum, _number),
    _property(octets_v5.request_problem_information, _byte),
    _property(octets_v5.request_response_information, _byte),
)
_SUBSCRIBE = (
    _property(octets_v5.subscription_id, lambda inputs: inputs.random.choice((0, 1, 127, 128, 268_435_455))),
    _user,
)
_TOLD = (_user, _why)
_END = (_expiry, _user, _why)
_EVERY = (
    *_PUBLISH, *_WILL, *_CONNECT, *_SUBSCRIBE, _why,
    _property(octets_v5.authentication_method, lambda _: "m"),
    _property(octets_v5.authentication_data, _words),
    _property(octets_v5.server_keepalive, _number),
    lambda inputs: bytes([inputs.random.randint(0, 255)]) + inputs.random.randbytes(inputs.random.randint(0, 5)),
)  # fmt: skip
