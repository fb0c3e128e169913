"""The certificates in use: real TLS handshakes, with OpenSSL as the judge and a foreign CA as the stranger."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from time import time

import pytest
import trustme

from gateway import pki

NOW = int(time()) * 1000
DAY = 24 * 60 * 60 * 1000


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    directory = tmp_path / "certs"
    pki.initialize(directory, ["gw.example", "127.0.0.1", "::1"], now=NOW)
    return directory


def server_context(certs: Path, *, client_ca: bool = False, crl: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "server.pem", certs / "server.key")
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certs / "ca.pem")
    if crl:
        context.load_verify_locations(certs / "crl.pem")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def client_context(ca: Path, client: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if client is not None:
        context.load_cert_chain(client, client.with_suffix(".key"))
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "gw.example") -> str | None:
    """The client's common name as the server sees it ("" without a certificate). SSLError of whichever side refuses."""
    near, far = socket.socketpair()
    near.settimeout(10)
    far.settimeout(10)
    seen: list[str] = []
    refused: list[Exception] = []

    def serve() -> None:
        try:
            with server.wrap_socket(far, server_side=True) as session:
                subject = dict(pair[0] for pair in (session.getpeercert() or {}).get("subject", ()))  # type: ignore[misc]
                seen.append(str(subject.get("commonName", "")))
                session.sendall(
                    b"x"
                )  # TLS 1.3: a client learns from the first byte whether its certificate was accepted
        except OSError as error:
            refused.append(error)
        finally:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=host) as session:
            session.recv(1)
    except OSError as error:
        refused.insert(0, error)
    finally:
        near.close()
        thread.join()
    verdicts = [error for error in refused if isinstance(error, ssl.SSLCertVerificationError)]
    if refused:
        raise (verdicts or refused)[0]
    return seen[0]


@pytest.mark.parametrize("host", ["gw.example", "127.0.0.1", "::1"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_trusts_the_ca_gets_in_by_every_name(certs: Path, host: str, version: ssl.TLSVersion) -> None:
    client = client_context(certs / "ca.pem")
    client.minimum_version = client.maximum_version = version
    assert handshake(server_context(certs), client, host) == ""


def test_a_client_refuses_another_name_and_another_ca(certs: Path, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'other\.example'|[Hh]ostname mismatch"):
        handshake(server_context(certs), client_context(certs / "ca.pem"), "other.example")
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self.signed"):
        handshake(server_context(certs), client_context(stranger))


def test_a_dock_whose_clock_is_a_day_behind_gets_in(certs: Path, tmp_path: Path) -> None:
    """The same as a server whose certificate was made a day in the client's future."""
    ahead = tmp_path / "ahead"
    pki.initialize(ahead, ["gw.example"], now=NOW + DAY)
    assert handshake(server_context(ahead), client_context(ahead / "ca.pem")) == ""
    pki.renew_server(ahead, now=NOW + 3 * DAY)
    with pytest.raises(ssl.SSLCertVerificationError, match="not yet valid"):
        handshake(server_context(ahead), client_context(ahead / "ca.pem"))


def test_after_renewal_the_same_client_gets_in(certs: Path) -> None:
    client = client_context(certs / "ca.pem")
    for fresh_key in (False, True):
        pki.renew_server(certs, now=NOW, fresh_key=fresh_key)
        assert handshake(server_context(certs), client) == ""


def test_an_imported_chain_serves_clients_that_know_its_root_only(certs: Path, tmp_path: Path) -> None:
    root = trustme.CA()
    issued = root.create_child_ca().issue_cert("gw.example")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    root.cert_pem.write_to_path(tmp_path / "root.pem")
    pki.import_server(certs, chain_file=chain, key_file=key, now=NOW)
    context = client_context(tmp_path / "root.pem")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    assert handshake(server_context(certs), context) == ""


def test_a_client_certificate_of_ours_is_accepted_and_carries_its_name(certs: Path) -> None:
    pki.issue_client(certs, "dock-1", now=NOW)
    client = client_context(certs / "ca.pem", certs / "clients/dock-1.pem")
    assert handshake(server_context(certs, client_ca=True, crl=True), client) == "dock-1"


def foreign_client(certs: Path, directory: Path) -> Path:
    issued = trustme.CA().issue_cert("dock-1", common_name="dock-1")
    issued.cert_chain_pems[0].write_to_path(directory / "client.pem")
    issued.private_key_pem.write_to_path(directory / "client.key")
    return directory / "client.pem"


def server_as_client(certs: Path, directory: Path) -> Path:
    for end in ("pem", "key"):
        (directory / f"s.{end}").write_bytes((certs / f"server.{end}").read_bytes())
    return directory / "s.pem"


def other_installation(certs: Path, directory: Path) -> Path:
    pki.initialize(directory / "other", ["gw.example"], now=NOW)
    pki.issue_client(directory / "other", "dock-1", now=NOW)
    return directory / "other/clients/dock-1.pem"


@pytest.mark.parametrize("intruder", [foreign_client, server_as_client, other_installation])
def test_a_client_certificate_of_anybody_else_is_refused(
    certs: Path, tmp_path: Path, intruder: Callable[[Path, Path], Path]
) -> None:
    client = client_context(certs / "ca.pem", intruder(certs, tmp_path))
    with pytest.raises(ssl.SSLError):
        handshake(server_context(certs, client_ca=True), client)


@pytest.mark.case(29)
def test_a_revoked_client_is_refused_and_the_others_are_not(certs: Path) -> None:
    lost = pki.issue_client(certs, "lost", now=NOW)
    pki.issue_client(certs, "kept", now=NOW)
    pki.revoke(certs, lost.serial, now=NOW)
    server = server_context(certs, client_ca=True, crl=True)
    with pytest.raises(ssl.SSLError, match="revoked"):
        handshake(server, client_context(certs / "ca.pem", certs / "clients/lost.pem"))
    assert handshake(server, client_context(certs / "ca.pem", certs / "clients/kept.pem")) == "kept"
