"""Certificates and revocation lists with a part that is what it can't be, though all of it is DER: refused in words."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import pki
from gateway.errors import ConfigError
from tests.fuzz.mutation import der_bytes, der_nodes

NOW = 1_767_225_600_000
# cryptography warns of some of it before it refuses it
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
# Of TBSCertificate: version, serial number, signature, issuer, validity, subject, key, extensions (RFC 5280, 4.1)
VERSION, ISSUER, VALIDITY, SUBJECT, KEY, EXTENSIONS = 0, 3, 4, 5, 6, 7


def der_of(path: Path) -> list[Any]:
    return der_nodes(base64.b64decode(b"".join(path.read_bytes().split(b"-----")[2].split())))


def written(path: Path, name: str, nodes: list[Any]) -> Path:
    text = base64.encodebytes(der_bytes(nodes)).decode()
    path.write_text(f"-----BEGIN {name}-----\n{text}-----END {name}-----\n")
    return path


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs") / "certs"
    pki.initialize(folder, ["dock.example"], now=NOW)
    return folder


def _put(part: int, value: tuple[int, Any]) -> Callable[[list[Any]], None]:
    return lambda fields: fields.__setitem__(part, value)


CERTIFICATES = {
    "an issuer that is a truth value": _put(ISSUER, (0x01, b"\xff")),
    "a subject that is empty bytes": _put(SUBJECT, (0x04, b"")),
    "a subject with a text that is not one": _put(
        SUBJECT, (0x30, [(0x31, [(0x30, [(0x06, b"\x55\x04\x03"), (0x0C, b"\xed\xa0\x80")])])])
    ),
    "a version that there is none of": _put(VERSION, (0xA0, [(0x02, b"\x06")])),
    "a time before all times": _put(VALIDITY, (0x30, [(0x18, b"00000101000000Z"), (0x17, b"991231235959Z")])),
    "a month 13": _put(VALIDITY, (0x30, [(0x17, b"251301000000Z"), (0x17, b"991231235959Z")])),
    "a key of an unknown kind": _put(KEY, (0x30, [(0x30, [(0x06, b"\x2a\x03\x04")]), (0x03, b"\x00\x01")])),
    "extensions that are none": _put(
        EXTENSIONS, (0xA3, [(0x30, [(0x30, [(0x06, b"\x55\x1d\x11"), (0x04, b"\xff")])])])
    ),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_is_refused_wherever_it_is_read(name: str, certs: Path, tmp_path: Path) -> None:
    nodes = der_of(certs / "ca.pem")
    CERTIFICATES[name](nodes[0][1][0][1])
    path = written(tmp_path / "damaged.pem", "CERTIFICATE", nodes)
    for read in (
        lambda: pki.inspect(path, now=NOW),
        lambda: pki.examine_server(path, certs / "server.key", now=NOW),
        lambda: pki.describe_der(der_bytes(nodes), now=NOW) if "key" not in name else pki.inspect(path, now=NOW),
    ):
        with pytest.raises(ConfigError):
            read()
    assert [flaw.fault for flaw in pki.examine_clients(path, None, now=NOW, soon_days=30)] == ["unreadable"]
    assert not pki.is_ours(path)


# Of TBSCertList: version, signature, issuer, this update, next update, and what follows (RFC 5280, 5.1)
LISTS = {
    "an issuer that is a truth value": (2, (0x01, b"\xff")),
    "a time that is none": (3, (0x17, b"251301000000Z")),
    "extensions that are none": (-1, (0xA0, [(0x30, [(0x30, [(0x06, b"\x55\x1d\x14"), (0x04, b"\xff")])])])),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_revocation_list_is_refused(name: str, certs: Path, tmp_path: Path) -> None:
    nodes = der_of(certs / "crl.pem")
    place, value = LISTS[name]
    nodes[0][1][0][1][place] = value
    path = written(tmp_path / "damaged.pem", "X509 CRL", nodes)
    with pytest.raises(ConfigError, match="no readable PEM revocation list"):
        pki.inspect_crl(path, now=NOW)
    assert [flaw.fault for flaw in pki.examine_clients(certs / "ca.pem", path, now=NOW, soon_days=30)] == ["unreadable"]
