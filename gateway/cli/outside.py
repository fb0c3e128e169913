"""What others see: an address as a dock would call it, and the time servers that docks are told of. Findings go out. This is the
only look that goes over the network, and only when it is asked for: a closed site must not wait for it.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from gateway import pki
from gateway.cli.probe import ACCEPTED, Probe, ProbeError
from gateway.model import License
from gateway.operations.finding import EXPIRING_DAYS, Finding, Severity

_TIMEOUT_S = 5.0
_NTP_TIMEOUT_S = 2.0
# Seconds between the Unix epoch and that of NTP (RFC 5905, figure 4).
_NTP_EPOCH = 2_208_988_800
# 319008 is about a dock's clock against the server's; what tolerance it has no public source says, and seconds are common.
_CLOCK_OFF_S = 5.0


def look(host: str, port: int, *, ca: Path | None, plain: bool) -> tuple[Probe, list[Finding]]:
    """TCP, TLS, the names and dates of the certificate, who trusts it, and an MQTT login without an account, which has to be
    refused. The probe's steps tell all of it.
    """
    probe = Probe(host, port, timeout_s=_TIMEOUT_S)
    found: list[Finding] = []
    try:
        probe.connect()
        if not plain:
            found += _secure(probe, host, ca)
        found += _login(probe)
    except ProbeError as error:
        found.append(_failed(probe, error, plain=plain))
    finally:
        probe.close()
    return probe, found


def of_time_servers(licenses: list[License]) -> Iterator[Finding]:
    """Does each time server answer from here, and does the clock of this machine agree with it."""
    for host, port in dict.fromkeys((one.ntp_server_host, one.ntp_server_port) for one in licenses):
        if host is None:
            continue
        try:
            offset = ntp_offset(host, port)
        except OSError as error:
            why = "it does not answer" if isinstance(error, TimeoutError) else (error.strerror or str(error))
            what = f"the NTP server {host}:{port} that docks are told of cannot be reached from here: {why}"
            yield Finding("ntp_unreachable", Severity.WARNING, what, "dockgate license set --file license.json")
            continue
        if abs(offset) > _CLOCK_OFF_S:
            what = f"the clock of this machine is {abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} {host}"
            fix = "set the clock, or switch on NTP: timedatectl set-ntp true"
            yield Finding("clock_off", Severity.WARNING, what, fix)


def ntp_offset(host: str, port: int, *, timeout_s: float = _NTP_TIMEOUT_S) -> float:
    """Seconds that the server is ahead of this machine. OSError: no (usable) answer. SNTP, RFC 4330 section 5."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as client:
        client.settimeout(timeout_s)
        client.connect(address)
        sent = time.time()
        client.send(b"\x23" + bytes(39) + struct.pack("!II", int(sent) + _NTP_EPOCH, int(sent % 1 * 2**32)))
        answer = client.recv(512)
        received = time.time()
    if len(answer) < 48 or answer[0] & 0x07 != 4 or answer[1] == 0:
        raise OSError("it does not answer as a time server")
    seconds, fraction = struct.unpack("!II", answer[40:48])
    return float(seconds - _NTP_EPOCH + fraction / 2**32) - (sent + received) / 2


def _secure(probe: Probe, host: str, ca: Path | None) -> Iterator[Finding]:
    probe.shake_hands()
    info = probe.certificate
    if info is None:
        return
    if not pki.covers(info.sans, host):
        what = f"the certificate at {probe.address} is for {', '.join(info.sans) or 'no name'}, not for {host}"
        yield Finding("certificate_names", Severity.ERROR, what, f"dockgate cert renew --host {host}")
    if info.days_left < 0:
        what = f"the certificate at {probe.address} has expired"
        yield Finding("certificate_expired", Severity.ERROR, what, "dockgate cert renew")
    elif info.days_left < EXPIRING_DAYS:
        what = f"the certificate at {probe.address} expires in {info.days_left} days"
        yield Finding("certificate_expiring", Severity.WARNING, what, "dockgate cert renew")
    try:
        probe.trust(name=host, ca=ca)
    except ProbeError as error:
        fix = "name the CA with --ca; docks have to be given it, or a certificate that they know: dockgate cert import"
        yield Finding("certificate_not_trusted", Severity.WARNING if ca is None else Severity.ERROR, str(error), fix)


def _login(probe: Probe) -> Iterator[Finding]:
    code = probe.login(None, client_id="dockgate-doctor")
    if code == ACCEPTED:
        what = f"{probe.address} lets everybody in, without an account"
        yield Finding("anybody_logs_in", Severity.ERROR, what, "dockgate check")
    elif code not in {4, 5}:
        what = f"{probe.address} refuses logins with CONNACK code {code}"
        yield Finding("login_refused", Severity.WARNING, what, "dockgate health")


def _failed(probe: Probe, error: ProbeError, *, plain: bool) -> Finding:
    step = probe.steps[-1].name
    fix = {
        "connect": "look at address, port, firewall and port forwarding; is the gateway running: dockgate health",
        "tls": "is that the port of the TLS listener? Without TLS: --plain",
        "login": "is that port for MQTT"
        + ("" if plain else ", and not for a web server? Or does it want a client certificate")
        + "?",
    }.get(step, "dockgate health")
    return Finding(f"{step}_failed", Severity.ERROR, str(error), fix)
