"""Why a connection failed, in words an operator can act on: error objects and codes come in, text goes out. No secret
passes here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from types import MappingProxyType

from paho.mqtt.client import WebsocketConnectionError

# Reason codes from here up are failures (MQTT 5, 2.4).
FAILURE = 128

# MQTT 5 reason code -> the CONNACK code of MQTT 3.1.1 that paho translated into it (MQTT 3.1.1, 3.2.2.3).
_CODES_311: Mapping[int, int] = MappingProxyType({132: 1, 133: 2, 136: 3, 134: 4, 135: 5})

_CONNACK_CAUSES: Mapping[int, str] = MappingProxyType(
    {
        128: "the server gives no reason",
        132: "it does not speak this version of MQTT",
        133: "it does not accept the client id",
        134: "wrong account or password",
        135: "not authorized: unknown, disabled or locked account, or a client certificate that is not this account's",
        136: "the server is not ready",
        137: "the server is busy",
        138: "this address or account is banned",
        149: "the login is too large for it",
        159: "too many logins at once",
    }
)

# OpenSSL's X509_V_ERR_… numbers (openssl/x509_vfy.h).
_EXPIRED, _NOT_YET_VALID = 10, 9
_UNTRUSTED = frozenset({2, 18, 19, 20, 21, 27})
_WRONG_NAME = frozenset({62, 64})

_ALERTS: Mapping[str, str] = MappingProxyType(
    {
        "CERTIFICATE_REQUIRED": "the server demands a client certificate, and none was given",
        "UNKNOWN_CA": "the server does not trust the authority of the client certificate",
        "CERTIFICATE_REVOKED": "the client certificate is revoked",
        "CERTIFICATE_EXPIRED": "the client certificate is expired",
        "BAD_CERTIFICATE": "the server does not accept the client certificate",
        "CERTIFICATE_UNKNOWN": "the server does not accept the client certificate",
        "UNSUPPORTED_CERTIFICATE": "the server does not accept this kind of client certificate",
        "HANDSHAKE_FAILURE": "no TLS settings in common, or the server demands a client certificate",
        "PROTOCOL_VERSION": "no TLS version in common",
        "UNRECOGNIZED_NAME": "the server has no certificate for this host name",
    }
)


def connack_code(reason: int, protocol: int) -> int:
    return reason if protocol == 5 else _CODES_311.get(reason, reason)


def explain_connack(reason: int, protocol: int) -> str:
    return (
        f"{_CONNACK_CAUSES.get(reason, 'for a reason without words')} (CONNACK code {connack_code(reason, protocol)})"
    )


def explain_connect_error(error: Exception, address: str, *, tls_ca: str | None, timeout_s: float) -> str:
    """``tls_ca``: the name of the authority that was trusted; None without TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate at {address} is not acceptable: {_certificate_cause(error, address, tls_ca)}"
    if isinstance(error, WebsocketConnectionError):
        return f"what answers at {address} is not a WebSocket listener for MQTT"
    if isinstance(error, ssl.SSLError):
        alert = cause_of_alert(str(error))
        if alert:
            return f"TLS with {address} failed: {alert}"
        return f"TLS with {address} failed ({error.reason or type(error).__name__}): a listener without TLS, it seems"
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"the host name in {address} cannot be resolved"
    if isinstance(error, TimeoutError):
        return f"nothing answered at {address} within {timeout_s:g} s: wrong address, firewall, or another listener"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {address}"
    if isinstance(error, ConnectionError):
        what = (
            "the TLS handshake: a listener without TLS, or one that refuses this device"
            if tls_ca
            else "the connection at once"
        )
        return f"{address} broke off {what}"
    return f"cannot connect to {address}: {getattr(error, 'strerror', None) or error}"


def _certificate_cause(error: ssl.SSLCertVerificationError, address: str, tls_ca: str | None) -> str:
    code = error.verify_code
    if code in _UNTRUSTED:
        return f"it is not signed by {tls_ca}"
    if code in _WRONG_NAME:
        return f"it is made out for other names than that in {address}"
    if code == _EXPIRED:
        return "it is expired (or the clock here is wrong)"
    if code == _NOT_YET_VALID:
        return "it is not valid yet (or the clock here is wrong)"
    return f"{error.verify_message} (checked against {tls_ca})"


def cause_of_alert(text: str) -> str | None:
    return next((cause for name, cause in _ALERTS.items() if f"ALERT_{name}" in text.upper().replace(" ", "_")), None)


def explain_loss(logged: str, *, ping_timeout: bool, keepalive_s: int) -> str:
    """``logged``: what paho noted last as an error of the socket, if anything."""
    if ping_timeout:
        return f"the server did not answer a ping within {keepalive_s} s"
    return cause_of_alert(logged) or "the server closed the connection"


EXPIRED_ALERT = "ALERT_CERTIFICATE_EXPIRED"


def explain_silence(alert: str, why: str, address: str, *, tls: bool, version: int) -> str:
    """A connection that ended before any answer to the login: with TLS 1.3 the server judges the client's certificate only
    after this side thinks the handshake done, and may have said so (``alert``, as OpenSSL words it).
    """
    if cause := cause_of_alert(alert):
        return f"TLS with {address} failed: {cause}"
    guess = (
        "is that port for MQTT? A gateway that wants a client certificate, or another one than this, hangs up like that; "
        "its log tells"
        if tls
        else "is that port for MQTT, and without TLS?"
    )
    name = "MQTT 5" if version == 5 else "MQTT 3.1.1"
    return f"{address} did not answer the {name} login: {why} ({guess})"
