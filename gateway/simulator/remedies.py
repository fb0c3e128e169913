"""What mends a step that failed: codes and errors come in, a command or a step for an operator goes out. No secret passes here.

The commands are those of the gateway's own machine; what a gateway of another make wants, nobody here knows.
"""

from __future__ import annotations

import shlex
import socket
import ssl

from paho.mqtt.client import WebsocketConnectionError

from gateway.simulator.checks import BOUND_ELSEWHERE

_TO_TRUST = "--ca FILE names the CA to trust: of a gateway with a CA of its own, the file ca.pem beside its certificate"
_TO_FIND = "another --address, or start the gateway there: dockgate serve"
_TO_SPEAK_TLS = "--plain for a listener without TLS, or --address with the port of TLS"
_TO_SPEAK_PLAIN = "leave out --plain, or --address with the port of MQTT without TLS"
_LICENSE = "dockgate license set --file license.json"
_REFUSED_AS_UNKNOWN = 210230


def of_login(reason: int, account: str) -> str | None:
    """``reason``: as MQTT 5 numbers it."""
    name = shlex.quote(account)
    if reason == 134:
        return (
            f"type account and password as on the card; whether it is locked: dockgate account show {name}; "
            f"a new password: dockgate account passwd {name}"
        )
    if reason == 135:
        return f"whether it is disabled, locked, or has another certificate: dockgate account show {name}"
    return "why it refuses: dockgate doctor" if reason in {136, 137, 159} else None


def of_connecting(error: Exception, host: str, *, account: str, tls: bool) -> str | None:
    if isinstance(error, WebsocketConnectionError):
        return None
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error.verify_code, host)
    if isinstance(error, ssl.SSLError):
        return of_alert(str(error), account) or (None if "ALERT" in str(error).upper() else _TO_SPEAK_TLS)
    if isinstance(error, socket.gaierror | UnicodeError):
        return "--address with an IP address, or a name that this machine can resolve"
    if isinstance(error, ConnectionRefusedError | TimeoutError):
        return _TO_FIND
    if isinstance(error, ConnectionError):
        return _TO_SPEAK_TLS if tls else _TO_FIND
    return None


def _of_certificate(code: int, host: str) -> str:
    """``code``: OpenSSL's X509_V_ERR_…: 62 and 64 are wrong names, 9 and 10 wrong times."""
    if code in {62, 64}:
        return f"--address with a name that the certificate has; or a certificate for this one: dockgate cert renew --host {host}"
    if code in {9, 10}:
        return "set the clock of this machine, or renew the gateway's certificate: dockgate cert renew"
    return _TO_TRUST


def of_alert(text: str, account: str) -> str | None:
    """``text``: OpenSSL's, of an error. None when a client certificate is not what it is about."""
    words = text.upper().replace(" ", "_")
    name = shlex.quote(account) if account else "NAME"
    if "ALERT_CERTIFICATE_REQUIRED" in words:
        return f"--cert and --key; both are made by: dockgate cert issue {name}"
    if any(
        f"ALERT_{each}" in words for each in ("CERTIFICATE", "UNKNOWN_CA", "BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE")
    ):
        return f"another --cert and --key: dockgate cert issue {name} --replace"
    return None


def of_silence(account: str, *, tls: bool) -> str:
    """Of a connection that ended before any answer to the login."""
    if not tls:
        return _TO_SPEAK_PLAIN
    return f"where a client certificate is wanted, --cert and --key: dockgate cert issue {shlex.quote(account)}"


def of_subscribing(account: str) -> str:
    name = shlex.quote(account)
    return (
        f"whether the account is another dock's: dockgate account show {name}; then another account, or "
        f"dockgate account unpin {name}"
    )


def of_license(*, refused: bool) -> str:
    return _LICENSE if refused else f"{_LICENSE} with a license of that app; or another --app-id"


def of_binding(code: int, sn: str, organization_id: str) -> str:
    """``code``: the result, or a device's ``err_code``."""
    if code == BOUND_ELSEWHERE:
        return of_bound_elsewhere(sn)
    if code == _REFUSED_AS_UNKNOWN:
        name = shlex.quote(organization_id) if organization_id else "ID"
        return f"dockgate card has a code; another one: dockgate org code add {name}"
    return of_anything(sn)


def of_bound_elsewhere(sn: str) -> str:
    return f"dockgate dock unbind {shlex.quote(sn)}"


def of_anything(sn: str) -> str:
    """Of a step after the login about which nothing better is known."""
    return f"what the gateway saw of it: dockgate dock show {shlex.quote(sn)}"


FIRST_OF_ALL = "what may be wrong with the gateway: dockgate doctor"
"""Of a login about which nothing better is known: the gateway may not know the dock."""
