"""What the own CA issues: exact extensions, lifetimes, renewal, revocation, and what is refused."""

from __future__ import annotations

import ipaddress
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from gateway import pki
from gateway.errors import ConfigError, ConflictError, DockgateError, NotFoundError, RefusedError, UsageError
from gateway.pki import leaf

NOW = 1_800_000_000_000
DAY = 24 * 60 * 60 * 1000
MOMENT = datetime.fromtimestamp(NOW / 1000, UTC)
HOSTS = ["gw.example", "10.0.0.1", "::1"]


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    directory = tmp_path / "certs"
    pki.initialize(directory, HOSTS, now=NOW)
    return directory


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def extensions(of: x509.Certificate) -> dict[x509.ObjectIdentifier, tuple[bool, x509.ExtensionType]]:
    return {extension.oid: (extension.critical, extension.value) for extension in of.extensions}


def usage(*names: str) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        **{name: name in names for name in (*every, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")}
    )


def tree(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory)): stat.S_IMODE(path.stat().st_mode)
        for path in directory.rglob("*")
        if path.parent.name != "issued"
    }


# -- what is made --------------------------------------------------------------------------------------------------


def test_the_ca_has_exactly_these_extensions_and_ten_years(certs: Path) -> None:
    ca = certificate(certs / "ca.pem")
    ski = x509.SubjectKeyIdentifier.from_public_key(ca.public_key())
    assert extensions(ca) == {
        ExtensionOID.BASIC_CONSTRAINTS: (True, x509.BasicConstraints(ca=True, path_length=0)),
        ExtensionOID.KEY_USAGE: (True, usage("key_cert_sign", "crl_sign")),
        ExtensionOID.SUBJECT_KEY_IDENTIFIER: (False, ski),
    }
    key = ca.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert ca.not_valid_before_utc == MOMENT - timedelta(days=2)
    assert ca.not_valid_after_utc == MOMENT + timedelta(days=3650)
    ca.verify_directly_issued_by(ca)


def test_two_installations_have_cas_of_different_names(certs: Path, tmp_path: Path) -> None:
    pki.initialize(tmp_path / "other", HOSTS, now=NOW)
    assert certificate(certs / "ca.pem").subject != certificate(tmp_path / "other/ca.pem").subject


def test_the_server_certificate_has_exactly_these_extensions_and_397_days(certs: Path) -> None:
    ca, server = certificate(certs / "ca.pem"), certificate(certs / "server.pem")
    own = x509.SubjectKeyIdentifier.from_public_key(server.public_key())
    issuer = x509.SubjectKeyIdentifier.from_public_key(ca.public_key())
    sans: list[x509.GeneralName] = [
        x509.DNSName("gw.example"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    assert extensions(server) == {
        ExtensionOID.BASIC_CONSTRAINTS: (True, x509.BasicConstraints(ca=False, path_length=None)),
        ExtensionOID.KEY_USAGE: (True, usage("digital_signature")),
        ExtensionOID.EXTENDED_KEY_USAGE: (False, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
        ExtensionOID.SUBJECT_KEY_IDENTIFIER: (False, own),
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER: (
            False,
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer),
        ),
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME: (False, x509.SubjectAlternativeName(sans)),
    }
    assert server.not_valid_before_utc == MOMENT - timedelta(days=2)
    assert server.not_valid_after_utc - server.not_valid_before_utc == timedelta(days=397)
    server.verify_directly_issued_by(ca)


def test_a_first_host_too_long_for_a_common_name(tmp_path: Path) -> None:
    host = ".".join(["a" * 40, "b" * 40])
    info = pki.initialize(tmp_path / "c", [host], now=NOW)
    assert (info.subject, info.common_name, info.sans) == ("", None, (host,))
    assert extensions(certificate(tmp_path / "c/server.pem"))[ExtensionOID.SUBJECT_ALTERNATIVE_NAME][0] is True


def test_a_client_certificate_is_for_clients_and_carries_the_name(certs: Path) -> None:
    info = pki.issue_client(certs, "dock-1", now=NOW)
    client = certificate(certs / "clients/dock-1.pem")
    found = extensions(client)
    assert set(found) == {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
    assert found[ExtensionOID.EXTENDED_KEY_USAGE][1] == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    assert client.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == info.common_name == "dock-1"
    assert info == pki.inspect(certs / "clients/dock-1.pem", now=NOW)


def test_files_and_their_modes(certs: Path) -> None:
    pki.issue_client(certs, "dock-1", now=NOW)
    assert tree(certs) == {
        "ca.pem": 0o644,
        "ca.key": 0o600,
        "server.pem": 0o644,
        "server.key": 0o600,
        "crl.pem": 0o644,
        "clients": 0o700,
        "clients/dock-1.pem": 0o644,
        "clients/dock-1.key": 0o600,
        "issued": 0o755,
    }
    assert len(list((certs / "issued").iterdir())) == 2


def test_inspection_tells_what_openssl_would(certs: Path) -> None:
    info = pki.inspect(certs / "server.pem", now=NOW)
    server = certificate(certs / "server.pem")
    assert info.subject == "CN=gw.example"
    assert info.sans == ("gw.example", "10.0.0.1", "::1")
    assert info.issuer == certificate(certs / "ca.pem").subject.rfc4514_string()
    assert int(info.serial, 16) == server.serial_number
    assert len(info.fingerprint_sha256) == 64
    assert (info.not_before, info.not_after) == (NOW - 2 * DAY, NOW + 395 * DAY)
    assert (info.days_left, info.is_ca) == (395, False)
    assert pki.inspect(certs / "server.pem", now=NOW + 396 * DAY).days_left == -1
    assert pki.inspect(certs / "ca.pem", now=NOW).is_ca
    assert pki.describe_der(server.public_bytes(Encoding.DER), now=NOW) == info


# -- never overwritten ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["ca.pem", "ca.key", "server.pem", "server.key", "crl.pem"])
def test_init_touches_nothing_when_one_file_is_there(tmp_path: Path, kept: str) -> None:
    directory = tmp_path / "certs"
    directory.mkdir()
    (directory / kept).write_text("mine")
    with pytest.raises(ConflictError, match="exists already"):
        pki.initialize(directory, HOSTS, now=NOW)
    assert {path.name: path.read_text() for path in directory.iterdir()} == {kept: "mine"}


def test_init_with_a_bad_host_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        pki.initialize(tmp_path / "certs", ["good.example", "not a host"], now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_init_that_fails_half_way_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise DockgateError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(leaf, "_keep", full)
        with pytest.raises(DockgateError, match="disk full"):
            pki.initialize(tmp_path / "certs", HOSTS, now=NOW)
    assert [path for path in (tmp_path / "certs").rglob("*") if path.is_file()] == []
    pki.initialize(tmp_path / "certs", HOSTS, now=NOW)


def test_a_client_certificate_is_not_replaced_unasked(certs: Path) -> None:
    first = pki.issue_client(certs, "dock-1", now=NOW)
    with pytest.raises(ConflictError):
        pki.issue_client(certs, "dock-1", now=NOW)
    second = pki.issue_client(certs, "dock-1", now=NOW, replace=True)
    assert first.serial != second.serial
    assert pki.check_pair(certs / "clients/dock-1.pem", certs / "clients/dock-1.key", now=NOW) == second


# -- renewal -------------------------------------------------------------------------------------------------------


def test_renewal_keeps_names_and_key_and_changes_one_file(certs: Path) -> None:
    before, key = pki.inspect(certs / "server.pem", now=NOW), (certs / "server.key").read_bytes()
    later = NOW + 300 * DAY
    after = pki.renew_server(certs, now=later)
    assert after.sans == before.sans
    assert after.serial != before.serial
    assert after.not_after == later + 395 * DAY
    assert (certs / "server.key").read_bytes() == key
    assert pki.check_pair(certs / "server.pem", certs / "server.key", now=later) == after


def test_renewal_with_other_names_or_a_fresh_key(certs: Path) -> None:
    key = (certs / "server.key").read_bytes()
    after = pki.renew_server(certs, now=NOW, hosts=["new.example"], fresh_key=True)
    assert after.sans == ("new.example",)
    assert (certs / "server.key").read_bytes() != key
    assert pki.check_pair(certs / "server.pem", certs / "server.key", now=NOW) == after


def test_renewal_without_a_server_certificate_needs_names(certs: Path) -> None:
    (certs / "server.pem").unlink()
    with pytest.raises(UsageError, match="name the hosts"):
        pki.renew_server(certs, now=NOW)
    pki.renew_server(certs, now=NOW, hosts=HOSTS)
    pki.check_pair(certs / "server.pem", certs / "server.key", now=NOW)


def test_what_the_ca_signs_does_not_outlive_it(certs: Path) -> None:
    end = NOW + 3650 * DAY
    assert pki.renew_server(certs, now=end - 10 * DAY).not_after == end
    with pytest.raises(RefusedError, match="the CA has expired"):
        pki.renew_server(certs, now=end)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda certs: (certs / "ca.key").unlink(), NotFoundError, r"ca\.key: no such file"),
        (lambda certs: (certs / "ca.key").write_text("x"), ConfigError, "no readable PEM private key"),
        (lambda certs: (certs / "ca.pem").write_text("x"), ConfigError, "no readable PEM certificate"),
        (
            lambda certs: (certs / "ca.key").write_bytes((certs / "server.key").read_bytes()),
            ConfigError,
            "is not the key of",
        ),
        (
            lambda certs: [
                (certs / f"ca.{end}").write_bytes((certs / f"server.{end}").read_bytes()) for end in ("pem", "key")
            ],
            ConfigError,
            "is not a CA certificate",
        ),
    ],
)
def test_a_damaged_ca_is_told(certs: Path, change: object, error: type[DockgateError], told: str) -> None:
    assert callable(change)
    change(certs)
    with pytest.raises(error, match=told):
        pki.issue_client(certs, "x", now=NOW)


# -- revocation ----------------------------------------------------------------------------------------------------


def test_the_list_is_there_from_the_start_and_as_long_as_the_ca(certs: Path) -> None:
    crl = pki.inspect_crl(certs / "crl.pem", now=NOW)
    assert (crl.number, crl.revoked, crl.expired) == (1, (), False)
    assert crl.next_update == pki.inspect(certs / "ca.pem", now=NOW).not_after
    assert pki.inspect_crl(certs / "crl.pem", now=NOW + 3650 * DAY).expired


def test_revoking_by_serial_in_any_spelling_once(certs: Path) -> None:
    one, two = pki.issue_client(certs, "one", now=NOW), pki.issue_client(certs, "two", now=NOW)
    later = NOW + DAY
    spelled = one.serial.upper().rjust(40, "0")
    assert pki.revoke(certs, ":".join(spelled[i : i + 2] for i in range(0, 40, 2)), now=later) == pki.inspect(
        certs / "clients/one.pem", now=later
    )
    pki.revoke(certs, f"0x{one.serial}", now=later + DAY)
    pki.revoke(certs, two.serial, now=later)
    crl = pki.inspect_crl(certs / "crl.pem", now=later)
    assert [(entry.serial, entry.at) for entry in crl.revoked] == [(one.serial, later), (two.serial, later)]
    assert crl.number == 3
    again = pki.renew_crl(certs, now=later + DAY)
    assert (again.number, again.revoked) == (4, crl.revoked)


def test_a_replaced_certificate_can_still_be_revoked(certs: Path) -> None:
    lost = pki.issue_client(certs, "dock-1", now=NOW)
    pki.issue_client(certs, "dock-1", now=NOW, replace=True)
    pki.revoke(certs, lost.serial, now=NOW)
    assert [entry.serial for entry in pki.inspect_crl(certs / "crl.pem", now=NOW).revoked] == [lost.serial]


def test_only_what_was_issued_can_be_revoked(certs: Path) -> None:
    with pytest.raises(NotFoundError, match="no certificate of this CA has the serial abc"):
        pki.revoke(certs, "abc", now=NOW)
    for nonsense in ("", "0", "xyz", "../ca", "a" * 41):
        with pytest.raises(UsageError, match="not the serial"):
            pki.revoke(certs, nonsense, now=NOW)


def test_a_list_of_somebody_else_is_not_taken_for_ours(certs: Path, tmp_path: Path) -> None:
    pki.initialize(tmp_path / "other", HOSTS, now=NOW)
    info = pki.issue_client(certs, "x", now=NOW)
    (certs / "crl.pem").write_bytes((tmp_path / "other/crl.pem").read_bytes())
    with pytest.raises(RefusedError, match="is not signed by"):
        pki.revoke(certs, info.serial, now=NOW)
    (certs / "crl.pem").write_text("half writ")
    with pytest.raises(ConfigError, match="no readable PEM revocation list"):
        pki.revoke(certs, info.serial, now=NOW)
    (certs / "crl.pem").unlink()
    pki.revoke(certs, info.serial, now=NOW)
    assert pki.inspect_crl(certs / "crl.pem", now=NOW).number == 1


def test_the_list_of_what_was_issued(certs: Path, tmp_path: Path) -> None:
    pki.issue_client(certs, "one", now=NOW + DAY)
    pki.renew_server(certs, now=NOW + 2 * DAY)
    revoked = pki.issue_client(certs, "two", now=NOW + 3 * DAY)
    pki.revoke(certs, revoked.serial, now=NOW + 4 * DAY)
    listed = pki.list_issued(certs, now=NOW)
    assert [(one.kind, one.info.common_name, one.path and one.path.name, one.revoked_at) for one in listed] == [
        ("server", "gw.example", None, None),
        ("client", "one", "one.pem", None),
        ("server", "gw.example", "server.pem", None),
        ("client", "two", "two.pem", NOW + 4 * DAY),
    ]
    assert pki.list_issued(tmp_path, now=NOW) == []


# -- pairs ---------------------------------------------------------------------------------------------------------


def test_a_pair_is_checked(certs: Path) -> None:
    server, key = certs / "server.pem", certs / "server.key"
    with pytest.raises(ConfigError, match="is not the key of"):
        pki.check_pair(server, certs / "ca.key", now=NOW)
    with pytest.raises(ConfigError, match=r"has expired \(2027-01-13 to 2028-02-14\)"):
        pki.check_pair(server, key, now=NOW + 395 * DAY)
    with pytest.raises(ConfigError, match="is not valid yet"):
        pki.check_pair(server, key, now=NOW - 3 * DAY)
    with pytest.raises(ConfigError, match="no readable PEM certificate"):
        pki.check_pair(key, key, now=NOW)
    with pytest.raises(ConfigError, match="not a readable certificate"):
        pki.describe_der(b"x", now=NOW)
