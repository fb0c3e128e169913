"""MQTT 3.1.1 on the wire: named cases of bytes that a client sends, and the exact bytes that come back, or the close.

The account is a dock's, pinned to ``SN``. Numbers in brackets are the statements of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass

from .octets import (
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    connack,
    connect,
    packet,
    puback,
    pubcomp,
    publish,
    pubrec,
    pubrel,
    suback,
    subscribe,
    text,
    unsuback,
    unsubscribe,
)

ACCOUNT = "wire-dock"
# 128 bits as base64 would have them: the table must stand before the account is made.
PASSWORD = "correct-horse-battery-staple-0001"
SN = "7CTDM7100BWIRE"

OSD = f"thing/product/{SN}/osd"
SERVICES = f"thing/product/{SN}/services"
DRC_DOWN = f"thing/product/{SN}/drc/down"
PROPERTY_SET = f"thing/product/{SN}/property/set"
FOREIGN = "thing/product/7CTDM7100BELSE/services"


@dataclass(frozen=True)
class Case:
    """``sent`` after the login, or as the first bytes of the connection; ``closes``: the gateway closes after ``answer``."""

    name: str
    sent: bytes
    answer: bytes = b""
    closes: bool = False


def _login(**changes: object) -> bytes:
    options: dict[str, object] = {"username": ACCOUNT, "password": PASSWORD, **changes}
    return connect(**options)  # type: ignore[arg-type]


def _raw_connect(body: bytes) -> bytes:
    return packet(0x10, body)


def _overlong(short: bytes) -> bytes:
    """The same packet with one byte more for its length, which MQTT 3.1.1 does not forbid."""
    return bytes([short[0], short[1] | 0x80, 0]) + short[2:]


_HEAD = text("MQTT") + b"\x04"

FIRST_PACKETS = (
    Case("a good CONNECT", _login(), connack(0)),
    Case("no client id, clean session [MQTT-3.1.3-6]", _login(client_id=""), connack(0)),
    Case("no client id, lasting session [MQTT-3.1.3-8]", _login(client_id="", clean=False), connack(2), closes=True),
    Case("a client id of 24 characters", _login(client_id="x" * 24), connack(0)),
    Case("a client id of 60,000 characters", _login(client_id="x" * 60_000), connack(0)),
    Case("a client id of any script", _login(client_id="Hafen\u2013\u6e2f-\U0001f6f8"), connack(0)),
    Case("a client id with U+FEFF in it [MQTT-1.5.3-3]", _login(client_id="a\ufeffb"), connack(0)),
    Case("keep alive 0", _login(keepalive=0), connack(0)),
    Case("keep alive 65,535", _login(keepalive=65_535), connack(0)),
    Case("a will on an own topic", _login(will=(OSD, b"gone", 1, False)), connack(0)),
    Case("a will on a topic that is not allowed: left out", _login(will=(FOREIGN, b"gone", 1, True)), connack(0)),
    Case("a will with an empty payload", _login(will=(OSD, b"", 0, True)), connack(0)),
    Case("CONNECT and more in one go", _login() + PINGREQ + PINGREQ, connack(0) + PINGRESP + PINGRESP),
    Case("CONNECT and DISCONNECT in one go", _login() + DISCONNECT, connack(0), closes=True),
    Case("a remaining length of more bytes than needed", _overlong(_login()), connack(0)),
    # who is refused
    Case("a wrong password", _login(password="wrong"), connack(4), closes=True),
    Case("an empty password", _login(password=""), connack(4), closes=True),
    Case("an unknown account", _login(username="nobody"), connack(4), closes=True),
    Case("an empty user name", _login(username=""), connack(4), closes=True),
    Case("no user name and no password", connect(), connack(4), closes=True),
    Case("a user name without a password", connect(username=ACCOUNT), connack(4), closes=True),
    Case("a password that is not UTF-8", _login(password=b"\xff\xfe"), connack(4), closes=True),
    # which protocol
    Case("MQTT 3.1 [MQTT-3.1.2-2]", _login(name="MQIsdp", level=3), connack(1), closes=True),
    Case("level 3 under the new name", _login(level=3), connack(1), closes=True),
    Case("level 6", _login(level=6), connack(1), closes=True),
    Case("level 0", _login(level=0), connack(1), closes=True),
    Case("the level of a bridge", _login(level=0x84), connack(1), closes=True),
    Case("another protocol name", _login(name="AMQP"), connack(1), closes=True),
    Case("the protocol name in small letters", _login(name="mqtt"), connack(1), closes=True),
    Case("nothing behind the level", _raw_connect(_HEAD), closes=True),
    Case("nothing behind the name", _raw_connect(text("MQTT")), closes=True),
    Case("an empty CONNECT", _raw_connect(b""), closes=True),
    # ill-formed CONNECTs
    Case("the reserved connect flag [MQTT-3.1.2-3]", _login(flags=0x01), closes=True),
    Case("reserved bits of the fixed header [MQTT-2.2.2-2]", _login(first=0x11), closes=True),
    Case("will QoS 3 [MQTT-3.1.2-14]", _login(will=(OSD, b"", 3, False)), closes=True),
    Case("will QoS without a will [MQTT-3.1.2-13]", _login(flags=0x08), closes=True),
    Case("will retain without a will [MQTT-3.1.2-15]", _login(flags=0x20), closes=True),
    Case("a password without a user name [MQTT-3.1.2-22]", connect(password=PASSWORD), closes=True),
    Case("a user name flag without a user name [MQTT-3.1.2-19]", connect(flags=0x80), closes=True),
    Case("a password flag without a password", connect(username=ACCOUNT, flags=0x40), closes=True),
    Case("a will flag without a will [MQTT-3.1.2-9]", connect(flags=0x04), closes=True),
    Case("bytes behind the last field", _login(tail=b"\x00"), closes=True),
    Case("a client id longer than its packet", _raw_connect(_HEAD + b"\x02\x00\x3c\xff\xff" + b"x"), closes=True),
    Case("U+0000 in the client id [MQTT-1.5.3-2]", _login(client_id="a\x00b"), closes=True),
    Case("a client id that is not UTF-8 [MQTT-3.1.3-4]", _login(client_id=b"\xff\xfe"), closes=True),
    Case("a surrogate in the client id [MQTT-1.5.3-1]", _login(client_id=b"\xed\xa0\x80"), closes=True),
    Case("an overlong NUL in the client id", _login(client_id=b"\xc0\x80"), closes=True),
    Case("U+0000 in the user name", _login(username="a\x00b"), closes=True),
    Case("a user name that is not UTF-8 [MQTT-3.1.3-11]", _login(username=b"\x80"), closes=True),
    Case("U+0000 in the will topic", _login(will=("a\x00b", b"", 0, False)), closes=True),
    Case("a will topic that is not UTF-8 [MQTT-3.1.3-10]", _login(will=(b"\xff", b"", 0, False)), closes=True),
    Case("an empty will topic [MQTT-4.7.3-1]", _login(will=("", b"", 0, False)), closes=True),
    Case("+ in the will topic [MQTT-4.7.1-1]", _login(will=("thing/product/+/osd", b"", 0, False)), closes=True),
    Case("# in the will topic", _login(will=("#", b"", 0, False)), closes=True),
    # no CONNECT
    Case("PINGREQ first [MQTT-3.1.0-1]", PINGREQ, closes=True),
    Case("PUBLISH first", publish(OSD, b"{}"), closes=True),
    Case("SUBSCRIBE first", subscribe((SERVICES, 0)), closes=True),
    Case("DISCONNECT first", DISCONNECT, closes=True),
    Case("HTTP", b"GET / HTTP/1.1\r\nHost: dock\r\n\r\n", closes=True),
    Case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", closes=True),
    Case("a PROXY header", b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 1883\r\n", closes=True),
    Case("zeros", b"\x00" * 16, closes=True),
    Case("a remaining length of five bytes [2.2.3]", b"\x10\xff\xff\xff\xff\x01", closes=True),
    Case("a CONNECT of 256 MiB", b"\x10\xff\xff\xff\x7f", closes=True),
)

AFTER_THE_LOGIN = (
    Case("PINGREQ", PINGREQ, PINGRESP),
    Case("PINGREQ with a length of more bytes than needed", b"\xc0\x80\x00", PINGRESP),
    Case("DISCONNECT", DISCONNECT, closes=True),
    Case("DISCONNECT and more: not read", DISCONNECT + PINGREQ + publish(OSD, qos=1), closes=True),
    # PUBLISH
    Case("QoS 0", publish(OSD, b"{}")),
    Case("QoS 1", publish(OSD, b"{}", qos=1, packet_id=258), puback(258)),
    Case("QoS 1 again [MQTT-3.3.1-1]", publish(OSD, b"{}", qos=1, packet_id=9, dup=True), puback(9)),
    Case("QoS 2 in full", publish(OSD, b"{}", qos=2, packet_id=7) + pubrel(7), pubrec(7) + pubcomp(7)),
    Case(
        "QoS 2 twice before PUBREL",
        publish(OSD, b"{}", qos=2, packet_id=7) + publish(OSD, b"{}", qos=2, packet_id=7, dup=True) + pubrel(7),
        pubrec(7) + pubrec(7) + pubcomp(7),
    ),
    Case("PUBREL of an unknown message", pubrel(99), pubcomp(99)),
    Case("PUBACK of an unknown message", puback(99)),
    Case("PUBREC of an unknown message", pubrec(99), pubrel(99)),
    Case("PUBCOMP of an unknown message", pubcomp(99)),
    Case("an empty payload", publish(OSD, b"", qos=1), puback()),
    Case(
        "retain", publish(OSD, b"{}", qos=1, retain=True) + publish(OSD, b"", qos=1, retain=True), puback() + puback()
    ),
    Case("a topic that is not allowed, QoS 0: dropped", publish(FOREIGN, b"{}")),
    Case("a topic that is not allowed, QoS 1 [MQTT-3.3.5-2]", publish(FOREIGN, b"{}", qos=1), puback()),
    Case("a topic that is not allowed, QoS 2", publish(FOREIGN, b"{}", qos=2) + pubrel(), pubrec() + pubcomp()),
    Case("a topic of the server [MQTT-4.7.2-1]", publish("$SYS/broker/version", b"x", qos=1), puback()),
    Case("a topic of 20 levels", publish("a/" * 19 + "a", b"x", qos=1), puback()),
    Case("a topic of 2,000 bytes", publish("a" * 2000, b"x", qos=1), puback()),
    Case("a space in the topic", publish("a b", b"x", qos=1), puback()),
    Case("U+FEFF in the topic", publish("\ufeffa", b"x", qos=1), puback()),
    Case("QoS 3 [MQTT-3.3.1-4]", packet(0x36, text(OSD) + b"\x00\x01{}"), closes=True),
    Case("DUP with QoS 0 [MQTT-3.3.1-2]", publish(OSD, b"{}", dup=True), closes=True),
    Case("packet identifier 0 [MQTT-2.3.1-1]", publish(OSD, b"{}", qos=1, packet_id=0), closes=True),
    Case("QoS 1 without an identifier", packet(0x32, text(OSD)), closes=True),
    Case("an empty topic [MQTT-4.7.3-1]", publish("", b"{}"), closes=True),
    Case("+ in the topic [MQTT-3.3.2-2]", publish("thing/product/+/osd", b"{}"), closes=True),
    Case("# in the topic", publish("thing/#", b"{}"), closes=True),
    Case("# inside a level of the topic", publish("thing/a#b", b"{}"), closes=True),
    Case("U+0000 in the topic [MQTT-4.7.3-2]", publish("thing/\x00", b"{}"), closes=True),
    Case("a topic that is not UTF-8 [MQTT-3.3.2-1]", publish(b"thing/\xff", b"{}"), closes=True),
    Case("a surrogate in the topic", publish(b"thing/\xed\xa0\x80", b"{}"), closes=True),
    Case("a topic longer than its packet", packet(0x30, b"\x00\x20abc"), closes=True),
    Case("no topic at all", packet(0x30), closes=True),
    Case("half a topic length", packet(0x30, b"\x00"), closes=True),
    # SUBSCRIBE
    Case("SUBSCRIBE QoS 0", subscribe((SERVICES, 0), packet_id=2), suback(2, 0)),
    Case("SUBSCRIBE QoS 1", subscribe((SERVICES, 1), packet_id=3), suback(3, 1)),
    Case("SUBSCRIBE QoS 2", subscribe((SERVICES, 2), packet_id=65_535), suback(65_535, 2)),
    Case(
        "several filters, their answers in order [MQTT-3.9.3-1]",
        subscribe((SERVICES, 2), (DRC_DOWN, 0), (PROPERTY_SET, 1)),
        suback(1, 2, 0, 1),
    ),
    Case(
        "a refused filter leaves the others granted [MQTT-3.8.4-5]",
        subscribe((FOREIGN, 0), (SERVICES, 1), (f"thing/product/{SN}/#", 1), (DRC_DOWN, 2)),
        suback(1, 0x80, 1, 0x80, 2),
    ),
    Case("the same filter twice in one packet", subscribe((SERVICES, 0), (SERVICES, 2)), suback(1, 0, 2)),
    Case("all topics", subscribe(("#", 0)), suback(1, 0x80)),
    Case("every dock", subscribe(("thing/product/+/services", 0)), suback(1, 0x80)),
    Case("its own telemetry", subscribe((OSD, 0)), suback(1, 0x80)),
    Case("a share", subscribe((f"$share/g/{SERVICES}", 0)), suback(1, 0x80)),
    Case("a share without a filter", subscribe(("$share/g", 0)), suback(1, 0x80)),
    Case("the server's statistics", subscribe(("$SYS/#", 0)), suback(1, 0x80)),
    Case("# before the end [MQTT-4.7.1-2]", subscribe(("a/#/b", 0)), suback(1, 0x80)),
    Case("# inside a level", subscribe(("a#", 0)), suback(1, 0x80)),
    Case("+ inside a level [MQTT-4.7.1-3]", subscribe(("a+/b", 0)), suback(1, 0x80)),
    Case("an empty filter [MQTT-4.7.3-1]", subscribe(("", 0)), suback(1, 0x80)),
    Case("a filter of 20 levels", subscribe(("a/" * 19 + "a", 0)), suback(1, 0x80)),
    Case("SUBSCRIBE with QoS 3 [MQTT-3-8.3-4]", subscribe((SERVICES, 3)), closes=True),
    Case("SUBSCRIBE with reserved bits in the QoS", subscribe((SERVICES, 4)), closes=True),
    Case("SUBSCRIBE without a filter [MQTT-3.8.3-3]", subscribe(), closes=True),
    Case("SUBSCRIBE without a QoS", packet(0x82, b"\x00\x01" + text(SERVICES)), closes=True),
    Case("SUBSCRIBE with flags 0000 [MQTT-3.8.1-1]", b"\x80" + subscribe((SERVICES, 0))[1:], closes=True),
    Case("SUBSCRIBE with flags 0011", b"\x83" + subscribe((SERVICES, 0))[1:], closes=True),
    Case("SUBSCRIBE with identifier 0", subscribe((SERVICES, 0), packet_id=0), closes=True),
    Case("SUBSCRIBE without an identifier", packet(0x82), closes=True),
    Case("a filter that is not UTF-8 [MQTT-3.8.3-1]", subscribe((b"\xff", 0)), closes=True),
    Case("U+0000 in a filter", subscribe(("a\x00", 0)), closes=True),
    # UNSUBSCRIBE
    Case("UNSUBSCRIBE", subscribe((SERVICES, 0)) + unsubscribe(SERVICES, packet_id=5), suback(1, 0) + unsuback(5)),
    Case("UNSUBSCRIBE from nothing [MQTT-3.10.4-5]", unsubscribe(SERVICES, packet_id=5), unsuback(5)),
    Case("UNSUBSCRIBE from several", unsubscribe(SERVICES, DRC_DOWN, "#", "$share/g/a"), unsuback()),
    Case("UNSUBSCRIBE from what is no filter", unsubscribe("a/#/b", "a#", "", "$share/"), unsuback()),
    Case("UNSUBSCRIBE without a filter [MQTT-3.10.3-2]", unsubscribe(), closes=True),
    Case("UNSUBSCRIBE with flags 0000 [MQTT-3.10.1-1]", b"\xa0" + unsubscribe(SERVICES)[1:], closes=True),
    Case("UNSUBSCRIBE with identifier 0", unsubscribe(SERVICES, packet_id=0), closes=True),
    Case("UNSUBSCRIBE from what is not UTF-8 [MQTT-3.10.3-1]", unsubscribe(b"\xff"), closes=True),
    # the rest
    Case("a second CONNECT [MQTT-3.1.0-2]", _login(), closes=True),
    Case("packet type 0", b"\x00\x00", closes=True),
    Case("packet type 15", b"\xf0\x00", closes=True),
    Case("CONNACK from a client", connack(0), closes=True),
    Case("SUBACK from a client", suback(1, 0), closes=True),
    Case("UNSUBACK from a client", unsuback(), closes=True),
    Case("PINGRESP from a client", PINGRESP, closes=True),
    Case("PINGREQ with flags", b"\xc1\x00", closes=True),
    Case("PINGREQ with a body", b"\xc0\x01\x00", closes=True),
    Case("DISCONNECT with flags [MQTT-3.14.1-1]", b"\xe1\x00", closes=True),
    Case("DISCONNECT with a body", b"\xe0\x01\x00", closes=True),
    Case("PUBACK with flags", b"\x42\x02\x00\x01", closes=True),
    Case("PUBACK without an identifier", b"\x40\x00", closes=True),
    Case("PUBACK with a body behind the identifier", b"\x40\x03\x00\x01\x00", closes=True),
    Case("PUBACK of identifier 0", b"\x40\x02\x00\x00", closes=True),
    Case("PUBREC with flags", b"\x52\x02\x00\x01", closes=True),
    Case("PUBREL with flags 0000 [MQTT-3.6.1-1]", b"\x60\x02\x00\x01", closes=True),
    Case("PUBCOMP with flags", b"\x71\x02\x00\x01", closes=True),
    Case("a remaining length of five bytes", b"\x30\xff\xff\xff\xff\x01", closes=True),
    Case("a packet of 256 MiB", b"\x30\xff\xff\xff\x7f", closes=True),
    Case(
        "good packets before a bad one", publish(OSD, b"{}", qos=1) + PINGREQ + b"\xf0\x00", puback() + PINGRESP, True
    ),
)
