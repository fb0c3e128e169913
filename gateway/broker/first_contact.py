"""The record of a first contact: a CONNECT and its connection in, plain facts out. Passwords, payloads and values that a client
may think private are not among them.
"""

from __future__ import annotations

import ssl
from typing import Any

from .codec.packets import Connect

# A packet may hold hundreds of thousands of user properties, and what is said here is remembered for each client id.
_MOST_NAMES, _LONGEST_NAME = 16, 64


def facts_of(connect: Connect, *, listener: str, tls: ssl.SSLObject | None) -> dict[str, Any]:
    """What is as the specification has it when nothing is said stays out."""
    facts: dict[str, Any] = {
        "level": connect.level,
        "clean_start": connect.clean_start,
        "keepalive_s": connect.keepalive_s,
        "client_id_sent": bool(connect.client_id),
        "listener": listener,
    }
    if tls is not None:
        cipher = tls.cipher()
        facts["tls"] = {"version": tls.version(), "cipher": cipher[0] if cipher else None}
    if connect.will is not None:
        will = connect.will
        facts["will"] = {"topic": will.topic, "qos": will.qos, "retain": will.retain, "bytes": len(will.payload)}
        if will.delay_s:
            facts["will"]["delay_s"] = will.delay_s
    properties = {
        "session_expiry_s": connect.session_expiry_s or None,
        "receive_maximum": connect.receive_maximum if connect.receive_maximum < 65_535 else None,
        "maximum_packet_size": connect.maximum_packet_size,
        "topic_alias_maximum": connect.topic_alias_maximum or None,
        "authentication_method": connect.authentication_method,
        "user_property_names": [name[:_LONGEST_NAME] for name, _ in connect.user_properties[:_MOST_NAMES]] or None,
    }
    if told := {name: value for name, value in properties.items() if value is not None}:
        facts["properties"] = told
    return facts
