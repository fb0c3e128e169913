"""Names in certificates: what can stand in one, what a client accepts, and what this machine is called."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, NoReturn

import pytest
from cryptography import x509

from gateway.errors import UsageError
from gateway.pki import covers, local_names, names


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("GW.Example.", x509.DNSName("gw.example")),
        (" localhost ", x509.DNSName("localhost")),
        ("gw_1", x509.DNSName("gw_1")),
        ("xn--bcher-kva.example", x509.DNSName("xn--bcher-kva.example")),
        ("10.0.0.1", x509.IPAddress(ipaddress.IPv4Address("10.0.0.1"))),
        ("[FD00::0:2]", x509.IPAddress(ipaddress.IPv6Address("fd00::2"))),
    ],
)
def test_a_host_becomes_an_alternative_name(host: str, name: x509.GeneralName) -> None:
    assert names.alternative_name(host) == name


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        "-a",
        "a-",
        "a b",
        "bücher.example",
        "300.1.1.1",
        "a" * 64,
        "a." * 127 + "a",
        "*.x",
        "x:1",
        "a/b",
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match=r"neither a host name|xn-- form"):
        names.alternative_name(host)


def test_names_stand_once_in_their_order_and_there_is_at_least_one() -> None:
    found = names.alternative_names(["B.example", "10.0.0.1", "b.example", "a.example"])
    assert [names.text_of(name) for name in found] == ["b.example", "10.0.0.1", "a.example"]
    with pytest.raises(UsageError, match="at least one"):
        names.alternative_names([])


@pytest.mark.parametrize(
    ("sans", "host", "covered"),
    [
        (("gw.example",), "GW.example.", True),
        (("Gw.Example",), "gw.example", True),
        (("*.example.org",), "a.example.org", True),
        (("*.example.org",), "a.b.example.org", False),
        (("*.example.org",), "example.org", False),
        (("*.org",), "example.org", False),
        (("10.0.0.1",), "10.0.0.1", True),
        (("*.0.0.1",), "10.0.0.1", False),
        (("fd00::2",), "fd00:0::2", True),
        ((), "a", False),
    ],
)
def test_whom_a_certificate_is_for(sans: tuple[str, ...], host: str, covered: bool) -> None:
    assert covers(sans, host) is covered


def test_local_names_are_usable_and_begin_with_the_loopback() -> None:
    found = local_names()
    assert found[:3] == ("localhost", "127.0.0.1", "::1")
    assert len(set(found)) == len(found)
    assert [names.text_of(name) for name in names.alternative_names(found)] == list(found)


def test_local_names_ask_nobody_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the network was asked")

    for name in ("getaddrinfo", "getfqdn", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, asked)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, asked)
    assert local_names()


def test_a_host_name_that_cannot_stand_in_a_certificate_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "my machine")
    assert "my machine" not in local_names()
    monkeypatch.setattr(socket, "gethostname", lambda: "Dock-Server")
    assert "dock-server" in local_names()
