"""Client certificates, wanted or demanded: the account's own, of the right authority, not revoked (cases 28-30)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from .process import Served, dockgate
from .town import DOCK_A, Town, settle
from .wire import Wire

REFUSED = 5  # not authorized


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


class Authority:
    """A CA that is not the gateway's own work."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "client-ca.pem"
        self.crl = folder / "client-crl.pem"
        self._ca.cert_pem.write_to_path(self.file)
        self.revoke()

    def issue(self, *names: str, common_name: str | None = None) -> trustme.LeafCert:
        return self._ca.issue_cert(*names, common_name=common_name)

    def revoke(self, *leaves: trustme.LeafCert, valid_for: timedelta = timedelta(days=1)) -> None:
        """The list of the revoked, written anew."""
        now = datetime.now(UTC)
        authority = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        builder = x509.CertificateRevocationListBuilder(issuer_name=authority.subject)
        builder = builder.last_update(now - timedelta(days=2)).next_update(now + valid_for)
        for leaf in leaves:
            serial = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(revoked)
        key = load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        self.crl.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))  # type: ignore[arg-type]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def demand(installation: Any, authority: Authority, how: str, *, crl: bool = False) -> None:
    def change(settings: dict[str, Any]) -> None:
        settings["listeners"]["tls"].update(cafile=str(authority.file), client_auth=how)
        if crl:
            settings["listeners"]["tls"]["crlfile"] = str(authority.crl)

    installation.configure(change)


def enter(town: Town, name: str, leaf: trustme.LeafCert | None = None, *, password: str | None = None) -> Wire | int:
    """Log in over TLS: the connection, the code of the refusal, or -1 when there was none but an end."""
    context = ssl.create_default_context(cafile=town.gateway.installation.ca)
    if leaf is not None:
        leaf.configure_cert(context)
    try:
        wire = town.wire(listener="tls", tls=context)
    except (ssl.SSLError, ConnectionError):
        return -1
    try:
        code = wire.login(f"{name}-{wire.sock.getsockname()[1]}", name, password or town.passwords[name]).code
    except (AssertionError, ssl.SSLError, ConnectionError):  # TLS 1.3: the refusal comes after the client's handshake
        code = -1
    if code:
        wire.drop()
        return code
    return wire


@pytest.mark.case(30)
@pytest.mark.parametrize("how", ["optional", "required"])
def test_a_certificate_has_to_be_the_account_s_own(
    installation: Any, serve: Any, keep: Any, authority: Authority, how: str
) -> None:
    demand(installation, authority, how)
    town = settle(installation, serve, "dock-a", "dock-b")
    by_account = authority.issue("x.example", common_name="dock-a")
    by_sn = authority.issue("x.example", common_name=DOCK_A)
    by_dns = authority.issue("dock-a")
    for leaf in (by_account, by_sn, by_dns):
        keep(enter(town, "dock-a", leaf)).ping()
    # a certificate is no password
    assert enter(town, "dock-a", by_account, password="guess") == 4
    # cases 30: a valid certificate of dock A with the login of dock B
    for leaf in (by_account, by_sn, by_dns, authority.issue("other.example"), authority.issue("*.dock-b")):
        assert enter(town, "dock-b", leaf) == REFUSED
    # without one
    bare = enter(town, "dock-b")
    if how == "required":
        assert bare == -1
    else:
        keep(bare).ping()


@pytest.mark.case(30)
@pytest.mark.parametrize("how", ["optional", "required"])
def test_a_certificate_of_a_foreign_authority_opens_nothing(
    installation: Any, serve: Any, keep: Any, authority: Authority, how: str, tmp_path: Path
) -> None:
    demand(installation, authority, how)
    town = settle(installation, serve, "dock-a")
    (tmp_path / "foreign").mkdir()
    foreign = Authority(tmp_path / "foreign").issue("x.example", common_name="dock-a")
    assert enter(town, "dock-a", foreign) == -1
    keep(enter(town, "dock-a", authority.issue("dock-a"))).ping()


@pytest.mark.case(30)
def test_a_certificate_does_not_help_a_disabled_account(
    installation: Any, serve: Any, keep: Any, authority: Authority
) -> None:
    demand(installation, authority, "required")
    town = settle(installation, serve, "dock-a")
    leaf = authority.issue("dock-a")
    live = keep(enter(town, "dock-a", leaf))
    dockgate(installation.config_file, "account", "disable", "dock-a")
    assert live.wait_closed(1.0)
    assert enter(town, "dock-a", leaf) == 4


@pytest.mark.case(29)
def test_a_revoked_certificate_is_refused_and_a_new_list_is_obeyed(
    installation: Any, serve: Any, keep: Any, authority: Authority
) -> None:
    demand(installation, authority, "required", crl=True)
    town = settle(installation, serve, "dock-a", "dock-b")
    gone, good = authority.issue("dock-a"), authority.issue("dock-b")
    before = keep(enter(town, "dock-a", gone))
    other = keep(enter(town, "dock-b", good))
    authority.revoke(gone)
    assert town.gateway.call(town.gateway.broker.listening.reload()) == []
    assert enter(town, "dock-a", gone) == -1
    keep(enter(town, "dock-b", good)).ping()
    other.ping()  # a reload drops nobody (cases 28)
    before.drop()
    # a list that is half written: the one before stays in use
    authority.crl.write_text("-----BEGIN X509 CRL-----\nMIIB")
    assert len(town.gateway.call(town.gateway.broker.listening.reload())) == 1
    assert enter(town, "dock-a", gone) == -1
    keep(enter(town, "dock-b", good)).ping()


@pytest.mark.case(30)
def test_the_log_says_what_was_wrong_with_a_certificate(
    installation: Any, authority: Authority, tmp_path: Path
) -> None:
    demand(installation, authority, "required", crl=True)
    login = installation.account("dock-a", "dock", "--sn", DOCK_A)
    revoked = authority.issue("dock-a")
    authority.revoke(revoked)
    (tmp_path / "foreign").mkdir()
    foreign = Authority(tmp_path / "foreign").issue("dock-a")
    with Served(installation.config_file).ready() as gateway:
        gateway.installation = installation
        town = Town(gateway, {"dock-a": login.password})
        for leaf, named in (
            (None, "no client certificate"),
            (foreign, "authority"),
            (revoked, "revoked"),
        ):
            assert enter(town, "dock-a", leaf) == -1
            gateway.line(rf"(?i){named}.*127\.0\.0\.1", within_s=3)
        assert enter(town, "dock-a", authority.issue("dock-z")) == REFUSED
        gateway.line("login refused address=127.0.0.1 account=dock-a .*reason=certificate_mismatch", within_s=3)
