"""The packets both protocol versions speak of, as plain records; a version's codec turns bytes into these and back.

What MQTT 3.1.1 does not have keeps the value that means "not there". Reason codes are MQTT 5's numbers everywhere; ``v311``
maps them to its own few.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Reason(IntEnum):
    """MQTT 5, 2.4. The names are the specification's."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1


class MqttError(Exception):
    """The peer broke the protocol: close its connection, with ``reason`` where the version has a way to say it."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class UnsupportedLevelError(MqttError):
    """A CONNECT of a protocol level that is not served (MQTT 3.1.1, 3.1.2.2: CONNACK 0x01)."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__(Reason.UNSUPPORTED_PROTOCOL_VERSION, f"protocol {name!r} level {level} is not served")
        self.name = name
        self.level = level


@dataclass(slots=True)
class Properties:
    """What MQTT 5 forwards unchanged with a message (3.3.2.3)."""

    payload_format_indicator: int | None = None
    message_expiry_s: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_properties: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of what a client chose, as UTF-8."""
        texts = (self.content_type, self.response_topic, *(text for pair in self.user_properties for text in pair))
        return sum(len(text.encode()) for text in texts if text) + len(self.correlation_data or b"")


@dataclass(slots=True)
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None = None
    delay_s: int = 0


@dataclass(slots=True)
class Connect:
    level: int
    client_id: str
    clean_start: bool
    keepalive_s: int
    username: str | None
    password: bytes | None = field(repr=False)
    will: Will | None = None
    session_expiry_s: int | None = None
    receive_maximum: int = 65_535
    maximum_packet_size: int | None = None
    topic_alias_maximum: int = 0
    authentication_method: str | None = None
    request_problem_information: bool = True
    user_properties: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Publish:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties | None = None
    topic_alias: int | None = None
    # the packet itself, if a receiver of 3.1.1 can be sent the same at QoS 0
    plain: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class PubAck:
    packet_id: int
    reason: int = 0


@dataclass(slots=True)
class PubRec:
    packet_id: int
    reason: int = 0


@dataclass(slots=True)
class PubRel:
    packet_id: int
    reason: int = 0


@dataclass(slots=True)
class PubComp:
    packet_id: int
    reason: int = 0


@dataclass(slots=True, frozen=True)
class Subscription:
    """One filter of a SUBSCRIBE with its options (MQTT 5, 3.8.3.1)."""

    filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    identifier: int | None = None


@dataclass(slots=True)
class Subscribe:
    packet_id: int
    subscriptions: tuple[Subscription, ...]


@dataclass(slots=True)
class Unsubscribe:
    packet_id: int
    filters: tuple[str, ...]


@dataclass(slots=True)
class PingReq:
    pass


@dataclass(slots=True)
class Disconnect:
    reason: int = 0
    session_expiry_s: int | None = None


@dataclass(slots=True)
class Auth:
    reason: int = 0


Packet = Connect | Publish | PubAck | PubRec | PubRel | PubComp | Subscribe | Unsubscribe | PingReq | Disconnect | Auth


@dataclass(slots=True)
class Connack:
    """What the server says of itself; ``None`` and the defaults are left out on the wire (MQTT 5, 3.2.2.3)."""

    session_present: bool
    reason: Reason
    reason_text: str | None = None
    session_expiry_s: int | None = None
    receive_maximum: int = 65_535
    maximum_packet_size: int | None = None
    assigned_client_id: str | None = None
    topic_alias_maximum: int = 0
    server_keepalive_s: int | None = None
    shared_subscriptions: bool = True
