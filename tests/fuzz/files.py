"""What an operator or a proxy hands over: PROXY headers, certificates and revocation lists, the configuration file.

Each is read, or refused in the words of its own error; a traceback is a finding.
"""

from __future__ import annotations

import base64
import copy
import shutil
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway import config, pki
from gateway.broker.proxy_protocol import ProxyError, ProxyHeader, parse
from gateway.errors import ConfigError, DockgateError
from tests.unit.test_proxy_protocol import BAD, GOOD, SIGNATURE

from .mutation import DerMutator, Mutator

_NOW = 1_767_225_600_000

# -- PROXY


class ProxyHeaders:
    _nearly = Mutator(
        [*(good for good, _, _ in GOOD.values()), *BAD.values()],
        (SIGNATURE, b"PROXY ", b"\r\n", b"TCP4", b"TCP6", b"UNKNOWN", b" ", b"::ffff:192.0.2.1", b"fe80::1%x", b"65536",
        b"007", b"-1"),
    )  # fmt: skip

    def make(self, random: Random) -> bytes:
        if random.random() < 0.6:
            return self._nearly.make(random)
        size = random.choice((0, 11, 12, 35, 36, 215, 216, 300, random.randint(0, 3000)))
        head = struct.pack("!BBH", random.choice((0x20, 0x21, 0x22, 0x31)), random.randint(0, 0x43), size)
        return SIGNATURE + head + random.randbytes(max(0, size + random.choice((0, 0, 0, -1, 5))))

    def feed(self, random: Random) -> None:
        self.read(self.make(random))

    @staticmethod
    def read(data: bytes) -> None:
        """However it is cut, the same comes out; and a header is no longer than what was there."""
        found = _parsed(data)
        if isinstance(found, ProxyHeader):
            assert 0 < found.length <= len(data)
            assert 0 <= found.port <= 65_535
            assert _parsed(data[: found.length]) == found
            assert all(_parsed(data[:size]) is None for size in {1, found.length // 2, found.length - 1} if size)
        elif found is None:
            assert len(data) < 16 + 2048


def _parsed(data: bytes) -> ProxyHeader | str | None:
    if not data:
        return None
    try:
        return parse(data)
    except ProxyError as error:
        return str(error)


@contextmanager
def proxy_headers(_folder: Path) -> Iterator[ProxyHeaders]:
    yield ProxyHeaders()


# -- certificates and revocation lists


class Certificates:
    """PEM files of the doors and the commands, and DER as TLS hands it over."""

    def __init__(self, folder: Path) -> None:
        pki.initialize(folder, ["dock.example", "192.0.2.1", "2001:db8::1"], now=_NOW)
        issued = pki.issue_client(folder, "dock-1", now=_NOW)
        pki.revoke(folder, issued.serial, now=_NOW)
        self._ca = folder / "ca.pem"
        self._key = folder / "server.key"
        self._file = folder / "fuzzed.pem"
        self._pem = Mutator(
            [path.read_bytes() for path in (self._ca, folder / "server.pem", folder / "crl.pem", self._key)],
            (b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"-----BEGIN X509 CRL-----\n", b"\xff", b"=",
            b"A" * 70),
        )  # fmt: skip
        ders = [
            certificate.public_bytes(serialization.Encoding.DER)
            for path in (self._ca, folder / "server.pem")
            for certificate in x509.load_pem_x509_certificates(path.read_bytes())
        ]
        crl = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes()).public_bytes(serialization.Encoding.DER)
        self._certificates, self._crls = DerMutator(ders), DerMutator([crl])

    def make(self, random: Random) -> bytes:
        draw = random.random()
        if draw < 0.1:
            return self._pem.make(random)
        if draw < 0.7:
            return _pem_of(b"CERTIFICATE", self._certificates.make(random))
        return _pem_of(b"X509 CRL", self._crls.make(random))

    def feed(self, random: Random) -> None:
        self.read(self.make(random))

    def read(self, data: bytes) -> None:
        self._file.write_bytes(data)
        file, ca, key = self._file, self._ca, self._key
        if b"X509 CRL" in data:
            _refused_in_words(lambda: pki.inspect_crl(file, now=_NOW))
            _refused_in_words(lambda: pki.examine_clients(ca, file, now=_NOW, soon_days=30))
            return
        if b"KEY" in data:
            _refused_in_words(lambda: pki.examine_server(ca, file, now=_NOW))
        _refused_in_words(lambda: pki.inspect(file, now=_NOW))
        _refused_in_words(lambda: pki.examine_server(file, key, now=_NOW, hosts=("dock.example",)))
        _refused_in_words(lambda: pki.examine_clients(file, None, now=_NOW, soon_days=30))
        _refused_in_words(lambda: pki.is_ours(file))
        try:
            der = base64.b64decode(b"".join(data.split(b"-----")[2:3]))
        except ValueError:
            der = data
        _refused_in_words(lambda: pki.describe_der(der, now=_NOW))


def _refused_in_words(read: Any) -> None:
    try:
        read()
    except DockgateError as error:
        assert str(error)  # noqa: PT017


def _pem_of(name: bytes, der: bytes) -> bytes:
    text = base64.encodebytes(der)
    return b"-----BEGIN " + name + b"-----\n" + text + b"-----END " + name + b"-----\n"


@contextmanager
def certificates(folder: Path) -> Iterator[Certificates]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are longer than they should be
        yield Certificates(folder)


# -- broker.yaml

_OPTION_VALUES = (
    None, True, False, 0, 1, -1, 10**30, 1.5, float("inf"), float("nan"), "", "x", "\x00", "off", "127.0.0.1:1883",
    "[::]:0", ":", "a:b:c",
    "${HOME}", "!!python/object:os.system", [], {}, [1], {"a": {"b": {"c": {"d": 1}}}}, "é" * 300, datetime(2026, 1, 1,
    tzinfo=UTC), b"x",
    {1: 2}, {None: 1}, [[[[]]]], "1d", "10 MiB", "wss", "required", "trace",
)  # fmt: skip
_YAML_WORDS = (
    b"\t", b"- ", b": ", b"&a ", b"*a", b"!!binary ", b"!!python/name:os ", b"<<: *a", b"? ", b"| ", b"> ", b"'", b'"',
    b"{", b"[" * 30,
    b"2026-99-99", b"0x", b"1_0", b"---\n", b"...\n", b"%YAML 9.9\n", b"\xff", b"\x00", b"\xef\xbb\xbf", b"\xe2\x80\xa8",
    b"#", b"!!set {a}",
    b"!!timestamp x", b"!!int x", b"!!float .", b"!!merge x", b"? [a]\n: b\n", b"!!omap [a: 1]", b"!!pairs [a]", b"0b", b"1:99:99",
    b"!!bool x", b"!!null x", b"!!str [a]", b"!!seq x", b"!!map x", b"&a [*a, *a]", b"&a {b: *a}",
)  # fmt: skip


class Configurations:
    """The file as it is installed, with every option's value exchanged, with YAML put in, or with both."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "broker.yaml"
        self._document = _every_option(config.render())
        self._text = Mutator([config.render().encode(), yaml.safe_dump(self._document).encode()], _YAML_WORDS)

    def make(self, random: Random) -> bytes:
        if random.random() < 0.5:
            return self._text.make(random)
        document = copy.deepcopy(self._document)
        for _ in range(random.randint(1, 3)):
            self._exchange(document, random)
        return yaml.safe_dump(document, allow_unicode=True).encode(errors="replace")

    @staticmethod
    def _exchange(document: dict[Any, Any], random: Random) -> None:
        place = document
        while True:
            key = random.choice(list(place) or ["x"])
            inner = place.get(key)
            if not isinstance(inner, dict) or not inner or random.random() < 0.15:
                break
            place = inner
        if random.random() < 0.1:
            key = random.choice(("x", 1, None, True, "a.b", "bind", "limits"))
        # a copy: what is in it may be exchanged next, and one input must not change those that follow
        place[key] = copy.deepcopy(random.choice(_OPTION_VALUES))

    def feed(self, random: Random) -> None:
        self.read(self.make(random))

    def read(self, data: bytes) -> None:
        self._file.write_bytes(data)
        try:
            loaded = config.load(self._file, {})
        except ConfigError as error:
            assert str(error)  # noqa: PT017
            return
        loaded.amqtt()
        for problem in loaded.problems():
            str(problem)


def _every_option(rendered: str) -> dict[str, Any]:
    """The installed file with every option in it at its default, a listener's too."""
    document: dict[str, Any] = yaml.safe_load(rendered)
    for option in config.options():
        parts = option.name.split(".")
        keys = (
            ["listeners", next(iter(document["listeners"])), *parts[2:]]
            if parts[0] == "listeners"
            else ["dockgate", *parts]
        )
        place = document
        for key in keys[:-1]:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        if place.get(keys[-1]) is None:
            place[keys[-1]] = option.default if isinstance(option.default, int | float | str | bool) else None
    return document


@contextmanager
def configurations(folder: Path) -> Iterator[Configurations]:
    folder.mkdir(parents=True, exist_ok=True)
    yield Configurations(folder)
