"""Import of a certificate of another CA: what is taken over, and that every fault is told before anything is written."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway import pki
from gateway.errors import ConfigError, NotFoundError, RefusedError

NOW = int(time()) * 1000  # trustme dates its certificates by the clock of the machine
DAY = 24 * 60 * 60 * 1000


class Files:
    """A root, an intermediate CA and a server certificate for gw.example, as files."""

    def __init__(self, directory: Path) -> None:
        root = trustme.CA(organization_name="Root")
        middle = root.create_child_ca()
        server = middle.issue_cert("gw.example", "*.wild.example", common_name="gw.example")
        self.directory = directory
        self.leaf = server.cert_chain_pems[0].bytes()
        self.middle = middle.cert_pem.bytes()
        self.root = root.cert_pem.bytes()
        self.key = server.private_key_pem.bytes()
        self.chain = self.leaf + self.middle

    def __call__(self, chain: bytes | None = None, key: bytes | None = None, **options: Any) -> pki.Imported:
        (self.directory / "given.pem").write_bytes(self.chain if chain is None else chain)
        (self.directory / "given.key").write_bytes(self.key if key is None else key)
        return pki.import_server(
            self.directory / "certs",
            chain_file=self.directory / "given.pem",
            key_file=self.directory / "given.key",
            now=options.pop("now", NOW),
            **options,
        )

    def refusal(self, *arguments: bytes, **options: Any) -> str:
        with pytest.raises(RefusedError) as caught:
            self(*arguments, **options)
        assert not (self.directory / "certs").exists(), "something was written before the checks were over"
        return str(caught.value)


@pytest.fixture
def given(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_good_chain_is_taken_over(given: Files, tmp_path: Path) -> None:
    imported = given(hosts=("gw.example", "a.wild.example"))
    assert imported.warnings == ()
    assert imported.info == pki.inspect(tmp_path / "certs/server.pem", now=NOW)
    assert (tmp_path / "certs/server.pem").read_bytes() == given.chain
    assert stat.S_IMODE((tmp_path / "certs/server.key").stat().st_mode) == 0o600
    pki.check_pair(tmp_path / "certs/server.pem", tmp_path / "certs/server.key", now=NOW)
    assert given(given.chain + given.root).warnings == ()


def test_it_takes_the_place_of_our_own_and_renewal_then_leaves_it_alone(given: Files, tmp_path: Path) -> None:
    pki.initialize(tmp_path / "certs", ["gw.example"], now=NOW)
    given()
    before = (tmp_path / "certs/server.pem").read_bytes()
    with pytest.raises(RefusedError, match="is not of this CA") as caught:
        pki.renew_server(tmp_path / "certs", now=NOW)
    assert caught.value.hint == "dockgate cert import --chain F --key F"
    assert (tmp_path / "certs/server.pem").read_bytes() == before


def test_what_surrounds_the_blocks_stays_behind(given: Files, tmp_path: Path) -> None:
    untidy = b"subject=/CN=x\r\n" + given.chain.replace(b"\n", b"\r\n") + b"\n# end\n"
    given(untidy, key=b"Bag Attributes\n" + given.key)
    assert (tmp_path / "certs/server.pem").read_bytes() == given.chain
    assert (tmp_path / "certs/server.key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")


def test_a_chain_without_intermediate_is_taken_with_a_warning(given: Files) -> None:
    (warning,) = given(given.leaf).warnings
    assert "does not know" in warning
    (warning,) = given(now=pki.inspect(given.directory / "given.pem", now=NOW).not_after - 5 * DAY, chain=None).warnings
    assert warning == "it expires in 5 days"


def test_faults_of_the_chain(given: Files) -> None:
    assert "certificate 1 (" in given.refusal(given.middle + given.leaf)
    assert "certificate 2 (" in given.refusal(given.leaf + given.middle + given.leaf)
    assert "is not issued by certificate 2" in given.refusal(given.leaf + given.root)
    assert "first the server's, then each issuer in turn" in given.refusal(given.leaf + given.leaf)


def test_a_ca_with_the_right_name_and_another_key_is_no_issuer(given: Files) -> None:
    signer = ec.generate_private_key(ec.SECP256R1())
    real = x509.load_pem_x509_certificate(given.middle)
    fake = self_made(signer, subject=real.subject, issuer=real.issuer, ca=True)
    assert "is not issued by certificate 2" in given.refusal(given.leaf + pem(fake))


def test_faults_of_the_key(given: Files) -> None:
    assert "is not the key of the first certificate" in given.refusal(key=trustme.CA().private_key_pem.bytes())
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  the fault that is looked for
    assert "the RSA key has 1024 bits" in given.refusal(pem(self_made(weak)), key_pem(weak))
    odd = dsa.generate_private_key(2048)
    assert "cannot be used for TLS" in given.refusal(pem(self_made(odd)), key_pem(odd))


def test_faults_of_time(given: Files) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    old = self_made(key, start=datetime(2020, 1, 1, tzinfo=UTC), days=10)
    assert "expired on 2020-01-11" in given.refusal(pem(old), key_pem(key))
    new = self_made(key, start=datetime.fromtimestamp(NOW / 1000, UTC) + timedelta(days=3))
    assert "is valid only from" in given.refusal(pem(new), key_pem(key))


def test_faults_of_name_and_purpose(given: Files) -> None:
    assert "it is for gw.example, *.wild.example, not for other.example, wild.example" in given.refusal(
        hosts=("gw.example", "other.example", "wild.example")
    )
    key = ec.generate_private_key(ec.SECP256R1())
    assert "it names no host" in given.refusal(pem(self_made(key, sans=())), key_pem(key))
    assert "is not for servers" in given.refusal(
        pem(self_made(key, usage=ExtendedKeyUsageOID.CLIENT_AUTH)), key_pem(key)
    )
    assert "the server's comes first" in given.refusal(pem(self_made(key, sans=(), ca=True)), key_pem(key))
    for fine in (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.SERVER_AUTH):
        assert given(pem(self_made(key, usage=fine)), key_pem(key)).info.sans == ("gw.example",)


def test_every_fault_comes_in_one_message(given: Files) -> None:
    told = given.refusal(given.leaf + given.root, trustme.CA().private_key_pem.bytes(), hosts=("x.example",))
    assert told.count(";") == 2
    assert "\n" not in told


def test_files_that_cannot_be_read(given: Files, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no readable PEM certificate"):
        given(b"half a certif")
    with pytest.raises(ConfigError, match="no readable PEM private key"):
        given(key=b"-----BEGIN PRIVATE KEY-----\nhunter2\n")
    key = serialization.load_pem_private_key(given.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
    with pytest.raises(ConfigError, match="locked with a passphrase") as caught:
        given(key=locked)
    assert (caught.value.hint or "").startswith("openssl pkey -in ")
    with pytest.raises(NotFoundError):
        pki.import_server(tmp_path, chain_file=tmp_path / "none", key_file=tmp_path / "none", now=NOW)


# -- certificates that no careful CA would issue -------------------------------------------------------------------

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | dsa.DSAPrivateKey


def self_made(
    key: Key,
    *,
    subject: x509.Name | None = None,
    issuer: x509.Name | None = None,
    start: datetime | None = None,
    days: int = 90,
    sans: tuple[str, ...] = ("gw.example",),
    usage: x509.ObjectIdentifier | None = None,
    ca: bool = False,
) -> x509.Certificate:
    name = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "self-made")])
    begin = start or datetime.fromtimestamp(NOW / 1000, UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if sans:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(san) for san in sans]), critical=False
        )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
