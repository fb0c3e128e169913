"""MQTT 5 on the wire: named cases of bytes that a client sends, and the exact bytes that come back, or the close.

The account is a dock's, pinned to ``SN``. Numbers are the sections and the statements of the specification.
"""

from __future__ import annotations

from . import octets
from .octets import DISCONNECT, PINGREQ, PINGRESP, packet, text
from .octets_v5 import (
    AS_PUBLISHED,
    NO_LOCAL,
    NO_RETAINED,
    ONLY_IF_NEW,
    auth,
    authentication_data,
    authentication_method,
    connack,
    connect,
    content_type,
    correlation,
    disconnect,
    maximum_packet_size,
    message_expiry,
    payload_format,
    properties,
    puback,
    pubcomp,
    publish,
    pubrec,
    pubrel,
    reason_string,
    receive_maximum,
    request_problem_information,
    request_response_information,
    response_topic,
    session_expiry,
    suback,
    subscribe,
    subscription_id,
    topic_alias,
    topic_alias_maximum,
    unsuback,
    unsubscribe,
    user_property,
    welcome,
    will_delay,
)
from .packets import ACCOUNT, DRC_DOWN, FOREIGN, OSD, PASSWORD, PROPERTY_SET, SERVICES, SN, Case

DAY = 86_400
NOT_AUTHORIZED, MALFORMED, PROTOCOL_ERROR = 0x87, 0x81, 0x82


def _login(*each: bytes, **changes: object) -> bytes:
    options: dict[str, object] = {"username": ACCOUNT, "password": PASSWORD, **changes}
    return connect(options.pop("client_id", "wire"), *each, **options)  # type: ignore[arg-type]


def _raw(raw_properties: bytes) -> bytes:
    return _login(raw_properties=raw_properties)


def _refused(reason: int, name: str, sent: bytes) -> Case:
    return Case(name, sent, connack(reason), closes=True)


def _ended(reason: int, name: str, sent: bytes) -> Case:
    return Case(name, sent, disconnect(reason), closes=True)


def _overlong(short: bytes) -> bytes:
    """The same packet with one byte more for its length than needed."""
    return bytes([short[0], short[1] | 0x80, 0]) + short[2:]


FIRST_PACKETS = (
    Case("a good CONNECT", _login(), welcome()),
    Case("a client id of 60,000 characters", _login(client_id="x" * 60_000), welcome()),
    Case("keep alive 0: the server's (3.2.2.3.14)", _login(keepalive=0), welcome(keepalive=1200)),
    Case("keep alive 65,535: the server's", _login(keepalive=65_535), welcome(keepalive=1200)),
    Case("keep alive as long as allowed", _login(keepalive=1200), welcome()),
    Case("a session that is kept", _login(session_expiry(60)), welcome()),
    Case("a session that is kept for as long as allowed", _login(session_expiry(DAY)), welcome()),
    Case(
        "a session that is kept longer: capped (3.2.2.3.2)",
        _login(session_expiry(DAY + 1)),
        welcome(session_expiry(DAY)),
    ),
    Case("a session for ever: capped", _login(session_expiry(0xFFFF_FFFF)), welcome(session_expiry(DAY))),
    Case("no clean start, and no session", _login(clean=False), welcome()),
    Case("receive maximum 1", _login(receive_maximum(1)), welcome()),
    Case("maximum packet size", _login(maximum_packet_size(100)), welcome()),
    Case("a maximum packet size that CONNACK fills", _login(maximum_packet_size(len(welcome()))), welcome()),
    Case(
        "a maximum packet size that CONNACK exceeds [MQTT-3.1.2-24]",
        _login(maximum_packet_size(len(welcome()) - 1)),
        closes=True,
    ),
    Case("topic alias maximum", _login(topic_alias_maximum(65_535)), welcome()),
    Case("problem information not wanted", _login(request_problem_information(0)), welcome()),
    Case("response information wanted: there is none (3.1.2.11.6)", _login(request_response_information(1)), welcome()),
    Case("user properties, one name twice", _login(user_property("a", "1"), user_property("a", "2")), welcome()),
    Case("an empty user property", _login(user_property("", "")), welcome()),
    Case(
        "every property at once",
        _login(
            session_expiry(5),
            receive_maximum(7),
            maximum_packet_size(2000),
            topic_alias_maximum(3),
            request_response_information(0),
            request_problem_information(1),
            user_property("who", "dock"),
        ),
        welcome(),
    ),
    Case("a will on an own topic", _login(will=(OSD, b"gone", 1, True)), welcome()),
    Case(
        "a will with every property (3.1.3.2)",
        _login(
            will=(OSD, b"gone", 2, False),
            will_properties=properties(
                will_delay(5),
                payload_format(1),
                message_expiry(60),
                content_type("text"),
                response_topic("back"),
                correlation(b"\x00\xff"),
                user_property("a", "b"),
            ),
        ),
        welcome(),
    ),
    Case("a will on a topic that is not allowed: left out", _login(will=(FOREIGN, b"gone", 1, True)), welcome()),
    Case("CONNECT and more in one go", _login() + PINGREQ + PINGREQ, welcome() + PINGRESP + PINGRESP),
    Case("CONNECT and DISCONNECT in one go", _login() + DISCONNECT, welcome(), closes=True),
    # who is refused
    _refused(0x86, "a wrong password", _login(password="wrong")),
    _refused(0x86, "an unknown account", _login(username="nobody")),
    _refused(0x86, "no user name and no password", connect()),
    _refused(0x86, "a password without a user name, which is allowed (3.1.2.9)", connect(password=PASSWORD)),
    _refused(0x8C, "an authentication method (4.12)", _login(authentication_method("SCRAM-SHA-256"))),
    _refused(
        0x8C, "an authentication method with data", _login(authentication_method("X"), authentication_data(b"\x00"))
    ),
    _refused(0x90, "a wildcard in the will topic [MQTT-4.7.1-1]", _login(will=("thing/+/osd", b"", 0, False))),
    _refused(PROTOCOL_ERROR, "an empty will topic [MQTT-4.7.3-1]", _login(will=("", b"", 0, False))),
    # which protocol: answered as every version understands it
    Case("level 6", _login(level=6), octets.connack(1), closes=True),
    Case("another protocol name", _login(name="MQTX"), octets.connack(1), closes=True),
    # ill-formed CONNECTs (3.1.4, 4.13.1)
    _refused(MALFORMED, "the reserved connect flag [MQTT-3.1.2-3]", _login(flags=0x01)),
    _refused(MALFORMED, "will QoS 3 [MQTT-3.1.2-12]", _login(will=(OSD, b"", 3, False))),
    _refused(MALFORMED, "will QoS without a will [MQTT-3.1.2-11]", _login(flags=0x08)),
    _refused(MALFORMED, "will retain without a will [MQTT-3.1.2-13]", _login(flags=0x20)),
    _refused(MALFORMED, "a will flag without a will", _login(flags=0x04)),
    _refused(MALFORMED, "a user name flag without a user name", connect(flags=0x80)),
    _refused(MALFORMED, "a password flag without a password", connect(username=ACCOUNT, flags=0x40)),
    _refused(MALFORMED, "bytes behind the last field", _login(tail=b"\x00")),
    _refused(MALFORMED, "a client id that is not UTF-8 [MQTT-1.5.4-1]", _login(client_id=b"\xff\xfe")),
    _refused(MALFORMED, "a surrogate in the client id", _login(client_id=b"\xed\xa0\x80")),
    _refused(MALFORMED, "U+0000 in the client id [MQTT-1.5.4-2]", _login(client_id="a\x00b")),
    _refused(MALFORMED, "a user name that is not UTF-8", _login(username=b"\x80")),
    _refused(MALFORMED, "a user property that is not UTF-8", _login(user_property(b"\xc3\x28", "a"))),
    _refused(MALFORMED, "U+0000 in a user property", _login(user_property("a", "b\x00"))),
    _refused(MALFORMED, "a remaining length of more bytes than needed [MQTT-1.5.5-1]", _overlong(_login())),
    _refused(MALFORMED, "a property length of more bytes than needed", _raw(b"\x80\x00")),
    _refused(MALFORMED, "a property length of five bytes", _raw(b"\xff\xff\xff\xff\x01")),
    _refused(MALFORMED, "a property length beyond the packet", _raw(b"\x7f")),
    _refused(MALFORMED, "a property that is cut off by the property length", _raw(b"\x03\x11\x00\x00")),
    _refused(MALFORMED, "a property of another packet (2.2.2.2)", _login(topic_alias(1))),
    _refused(MALFORMED, "a property that does not exist", _raw(properties(b"\x04\x00"))),
    _refused(MALFORMED, "a property number of two bytes", _raw(properties(b"\x91\x01\x00"))),
    _refused(
        MALFORMED,
        "a will property that does not belong there",
        _login(will=(OSD, b"", 0, False), will_properties=properties(topic_alias(1))),
    ),
    _refused(PROTOCOL_ERROR, "session expiry twice", _login(session_expiry(1), session_expiry(1))),
    _refused(PROTOCOL_ERROR, "receive maximum 0 (3.1.2.11.3)", _login(receive_maximum(0))),
    _refused(PROTOCOL_ERROR, "maximum packet size 0 (3.1.2.11.4)", _login(maximum_packet_size(0))),
    _refused(PROTOCOL_ERROR, "request problem information 2", _login(request_problem_information(2))),
    _refused(PROTOCOL_ERROR, "request response information 2", _login(request_response_information(2))),
    _refused(PROTOCOL_ERROR, "authentication data without a method (3.1.2.11.10)", _login(authentication_data(b"x"))),
    Case("reserved bits of the fixed header [MQTT-2.1.3-1]", _login(first=0x11), closes=True),
    Case("nothing behind the level", packet(0x10, text("MQTT") + b"\x05"), connack(MALFORMED), closes=True),
    Case("no properties at all", packet(0x10, text("MQTT") + b"\x05\x02\x00\x3c"), connack(MALFORMED), closes=True),
    # no CONNECT
    Case("AUTH first", auth(), closes=True),
    Case("PUBLISH first", publish(OSD, b"{}"), closes=True),
)

_ALIASED = publish(OSD, b"1", topic_alias(7), qos=1) + publish("", b"2", topic_alias(7), qos=1, packet_id=2)

AFTER_THE_LOGIN = (
    Case("PINGREQ", PINGREQ, PINGRESP),
    # DISCONNECT
    Case("DISCONNECT", DISCONNECT, closes=True),
    Case("DISCONNECT with a reason", b"\xe0\x01\x00", closes=True),
    Case("DISCONNECT with the will", disconnect(0x04), closes=True),
    Case("DISCONNECT with properties", disconnect(0x80, reason_string("no"), user_property("a", "b")), closes=True),
    Case("DISCONNECT with session expiry 0", disconnect(0, session_expiry(0)), closes=True),
    _ended(
        PROTOCOL_ERROR, "DISCONNECT that prolongs a session that ends (3.14.2.2.2)", disconnect(0, session_expiry(9))
    ),
    _ended(MALFORMED, "DISCONNECT with another property", disconnect(0, receive_maximum(9))),
    _ended(MALFORMED, "DISCONNECT with bytes behind its properties", packet(0xE0, b"\x00\x00\x00")),
    _ended(MALFORMED, "DISCONNECT with flags [MQTT-3.14.1-1]", b"\xe1\x00"),
    # PUBLISH
    Case("QoS 0", publish(OSD, b"{}")),
    Case("QoS 1", publish(OSD, b"{}", qos=1, packet_id=258), puback(258)),
    Case("QoS 2 in full", publish(OSD, b"{}", qos=2, packet_id=7) + pubrel(7), pubrec(7) + pubcomp(7)),
    Case(
        "QoS 2 twice before PUBREL",
        publish(OSD, b"{}", qos=2, packet_id=7) + publish(OSD, b"{}", qos=2, packet_id=7, dup=True) + pubrel(7),
        pubrec(7) + pubrec(7) + pubcomp(7),
    ),
    Case(
        "every property",
        publish(
            OSD,
            b"{}",
            payload_format(1),
            message_expiry(60),
            content_type("json"),
            response_topic("back"),
            correlation(b"\x00\xff"),
            topic_alias(1),
            user_property("a", "b"),
            user_property("a", "b"),
            qos=1,
        ),
        puback(),
    ),
    Case("a topic that is not allowed, QoS 0: dropped", publish(FOREIGN, b"{}")),
    Case("a topic that is not allowed, QoS 1", publish(FOREIGN, b"{}", qos=1), puback(1, NOT_AUTHORIZED)),
    Case(
        "a topic that is not allowed, QoS 2: over with PUBREC (4.3.3)",
        publish(FOREIGN, b"{}", qos=2) + pubrel(),
        pubrec(1, NOT_AUTHORIZED) + pubcomp(1, 0x92),
    ),
    Case("a topic of the server [MQTT-4.7.2-1]", publish("$SYS/x", b"x", qos=1), puback(1, NOT_AUTHORIZED)),
    Case("a topic by its alias (3.3.2.3.4)", _ALIASED, puback() + puback(2)),
    Case(
        "an alias given anew",
        _ALIASED + publish(FOREIGN, b"", topic_alias(7), qos=1) + publish("", b"", topic_alias(7), qos=1),
        puback() + puback(2) + puback(1, NOT_AUTHORIZED) * 2,
    ),
    Case("the highest alias", publish(OSD, b"", topic_alias(32), qos=1), puback()),
    _ended(0x94, "an alias above the highest", publish(OSD, b"", topic_alias(33))),
    _ended(PROTOCOL_ERROR, "alias 0 [MQTT-3.3.2-8]", publish(OSD, b"", topic_alias(0))),
    _ended(PROTOCOL_ERROR, "an alias of nothing", publish("", b"", topic_alias(8))),
    _ended(PROTOCOL_ERROR, "an alias twice in one packet", publish(OSD, b"", topic_alias(1), topic_alias(1))),
    _ended(PROTOCOL_ERROR, "an empty topic and no alias (3.3.2.1)", publish("", b"{}")),
    _ended(0x90, "+ in the topic [MQTT-3.3.2-2]", publish("thing/product/+/osd", b"{}")),
    _ended(0x90, "# in the topic by its alias", publish("a/#", b"{}", topic_alias(1))),
    _ended(0x90, "a wildcard in the response topic [MQTT-3.3.2-14]", publish(OSD, b"", response_topic("a/#"))),
    _ended(PROTOCOL_ERROR, "an empty response topic [MQTT-4.7.3-1]", publish(OSD, b"", response_topic(""))),
    _ended(PROTOCOL_ERROR, "payload format 2", publish(OSD, b"", payload_format(2))),
    _ended(PROTOCOL_ERROR, "message expiry twice", publish(OSD, b"", message_expiry(1), message_expiry(1))),
    _ended(MALFORMED, "a subscription identifier from a client [MQTT-3.3.4-6]", publish(OSD, b"", subscription_id(1))),
    _ended(MALFORMED, "a content type that is not UTF-8", publish(OSD, b"", content_type(b"\xff"))),
    _ended(
        MALFORMED, "a user property that is not UTF-8", publish(OSD, b"", user_property("a", b"\xf8\x88\x80\x80\x80"))
    ),
    _ended(MALFORMED, "a topic that is not UTF-8", publish(b"thing/\xff", b"{}")),
    _ended(MALFORMED, "U+0000 in the topic", publish("thing/\x00", b"{}")),
    _ended(MALFORMED, "QoS 3 [MQTT-3.3.1-4]", packet(0x36, text(OSD) + b"\x00\x01\x00{}")),
    _ended(MALFORMED, "DUP with QoS 0 [MQTT-3.3.1-2]", publish(OSD, b"{}", dup=True)),
    _ended(MALFORMED, "packet identifier 0 [MQTT-2.2.1-3]", publish(OSD, b"{}", qos=1, packet_id=0)),
    _ended(MALFORMED, "PUBLISH without properties", packet(0x30, text(OSD))),
    # acknowledgements
    Case("PUBACK of an unknown message", puback(99)),
    Case("PUBACK with a reason and properties", puback(99, 0x80, reason_string("no"), user_property("a", "b"))),
    Case("PUBREC of an unknown message", pubrec(99), pubrel(99)),
    Case("PUBREC with a refusal: no PUBREL", pubrec(99, 0x80)),
    Case("PUBREL of an unknown message", pubrel(99), pubcomp(99, 0x92)),
    Case("PUBCOMP of an unknown message", pubcomp(99)),
    _ended(MALFORMED, "PUBACK with another property", puback(99, 0, content_type("a"))),
    _ended(MALFORMED, "PUBACK with bytes behind its properties", packet(0x40, b"\x00\x01\x00\x00\x00")),
    _ended(MALFORMED, "PUBACK of identifier 0", puback(0)),
    _ended(MALFORMED, "PUBACK with flags", b"\x42\x02\x00\x01"),
    _ended(MALFORMED, "PUBREL with flags 0000 [MQTT-3.6.1-1]", b"\x60\x02\x00\x01"),
    # SUBSCRIBE
    Case(
        "several filters, their answers in order",
        subscribe((SERVICES, 2), (FOREIGN, 0), (DRC_DOWN, 0), ("a/#/b", 1), (PROPERTY_SET, 1)),
        suback(1, 2, NOT_AUTHORIZED, 0, 0x8F, 1),
    ),
    Case(
        "every option",
        subscribe(
            (SERVICES, 1 | NO_LOCAL | AS_PUBLISHED | NO_RETAINED),
            (DRC_DOWN, 2 | ONLY_IF_NEW),
            each=(subscription_id(268_435_455), user_property("a", "b")),
        ),
        suback(1, 1, 2),
    ),
    Case("subscription identifier 1", subscribe((SERVICES, 0), each=(subscription_id(1),)), suback(1, 0)),
    Case("a share, which a dock does not get", subscribe((f"$share/g/{SERVICES}", 0)), suback(1, NOT_AUTHORIZED)),
    Case("a share without a filter [MQTT-4.8.2-1]", subscribe(("$share/g", 0)), suback(1, 0x8F)),
    Case("a share with a wildcard as its name [MQTT-4.8.2-2]", subscribe((f"$share/+/{SERVICES}", 0)), suback(1, 0x8F)),
    Case("an empty filter", subscribe(("", 0)), suback(1, 0x8F)),
    _ended(PROTOCOL_ERROR, "no local on a share [MQTT-3.8.3-4]", subscribe((f"$share/g/{SERVICES}", NO_LOCAL))),
    _ended(
        PROTOCOL_ERROR, "subscription identifier 0 (3.8.2.1.2)", subscribe((SERVICES, 0), each=(subscription_id(0),))
    ),
    _ended(PROTOCOL_ERROR, "two identifiers", subscribe((SERVICES, 0), each=(subscription_id(1), subscription_id(2)))),
    _ended(MALFORMED, "an identifier of more bytes than needed", subscribe((SERVICES, 0), each=(b"\x0b\x81\x00",))),
    _ended(MALFORMED, "reserved options [MQTT-3.8.3-5]", subscribe((SERVICES, 0x40))),
    _ended(PROTOCOL_ERROR, "QoS 3 (3.8.3.1)", subscribe((SERVICES, 3))),
    _ended(PROTOCOL_ERROR, "retain handling 3 (3.8.3.1)", subscribe((SERVICES, 0x30))),
    _ended(PROTOCOL_ERROR, "SUBSCRIBE without a filter [MQTT-3.8.3-2]", subscribe()),
    _ended(MALFORMED, "SUBSCRIBE without options", packet(0x82, b"\x00\x01\x00" + text(SERVICES))),
    _ended(MALFORMED, "SUBSCRIBE with flags 0000 [MQTT-3.8.1-1]", b"\x80" + subscribe((SERVICES, 0))[1:]),
    _ended(MALFORMED, "a filter that is not UTF-8", subscribe((b"\xff", 0))),
    # UNSUBSCRIBE
    Case(
        "UNSUBSCRIBE, the answers in order [MQTT-3.11.3-1]",
        subscribe((SERVICES, 0)) + unsubscribe(SERVICES, DRC_DOWN, "a#", packet_id=5, each=(user_property("a", "b"),)),
        suback(1, 0) + unsuback(5, 0, 0x11, 0x11),
    ),
    _ended(PROTOCOL_ERROR, "UNSUBSCRIBE without a filter [MQTT-3.10.3-2]", unsubscribe()),
    _ended(MALFORMED, "UNSUBSCRIBE with another property", unsubscribe(SERVICES, each=(subscription_id(1),))),
    # the rest
    _ended(PROTOCOL_ERROR, "a second CONNECT [MQTT-3.1.0-2]", _login()),
    _ended(PROTOCOL_ERROR, "a second CONNECT of a level that is not served", _login(level=6)),
    _ended(PROTOCOL_ERROR, "AUTH without an authentication method (4.12.1)", auth()),
    _ended(MALFORMED, "packet type 0", b"\x00\x00"),
    _ended(MALFORMED, "CONNACK from a client", welcome()),
    _ended(MALFORMED, "AUTH with flags", b"\xf1\x00"),
    _ended(MALFORMED, "PINGREQ with a body", b"\xc0\x01\x00"),
    _ended(MALFORMED, "PINGREQ with a length of more bytes than needed [MQTT-1.5.5-1]", b"\xc0\x80\x00"),
    _ended(MALFORMED, "a remaining length of five bytes (1.5.5)", b"\x30\xff\xff\xff\xff\x01"),
    _ended(0x95, "a packet of 256 MiB [MQTT-3.2.2-15]", b"\x30\xff\xff\xff\x7f"),
    Case(
        "good packets before a bad one",
        publish(OSD, b"{}", qos=1) + PINGREQ + b"\xf1\x00",
        puback() + PINGRESP + disconnect(MALFORMED),
        closes=True,
    ),
)

__all__ = ["ACCOUNT", "AFTER_THE_LOGIN", "FIRST_PACKETS", "PASSWORD", "SN", "Case"]
