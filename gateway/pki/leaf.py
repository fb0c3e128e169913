"""Server and client certificates of the own CA: issued, renewed, listed, revoked.

In: the certificate directory, names, the time. Out: files in that directory and a record of what is in them. Each
certificate is kept under ``issued/`` by serial, and the revocation list is the one record of what was revoked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import ConflictError, DockgateError, NotFoundError, RefusedError, UsageError
from gateway.pki import files, names, pair
from gateway.pki import inspection as reading
from gateway.pki.authority import Authority, certificate_pem, key_pem, key_usage, new_key
from gateway.pki.files import Layout
from gateway.pki.inspection import CertificateInfo, CrlInfo, Revoked

# Clients refuse server certificates with more than 398 days (CA/Browser Forum 6.3.2, Apple); the backdating counts too.
SERVER_LIFETIME = timedelta(days=397)
# The same for clients: one date in the calendar, and a lost dock ends by itself.
CLIENT_LIFETIME = timedelta(days=397)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """``kind`` is "server" or "client"; ``path`` is the file in use, None when a newer one took its place."""

    kind: str
    info: CertificateInfo
    path: Path | None
    revoked_at: int | None


def initialize(directory: Path, hosts: list[str], *, now: int) -> CertificateInfo:
    """A new CA, a server certificate for ``hosts`` and an empty revocation list.

    Nothing is written when one of the files exists (ConflictError) or a host is no name (UsageError).
    """
    names.alternative_names(hosts)
    layout = Layout(directory)
    made = (layout.ca, layout.ca_key, layout.server, layout.server_key, layout.crl)
    files.make_directory(layout.directory)
    with files.exclusive(layout):
        for path in made:
            if path.exists() or path.is_symlink():
                raise ConflictError(f"{path}: exists already and is left alone", hint="dockgate cert renew")
        try:
            authority = Authority.create(layout, now=now)
            files.write_public(layout.crl, certificate_pem(authority.sign_crl([], number=1, now=now)))
            return _issue_server(layout, authority, hosts, new_key(), now=now, replace=False)
        except BaseException:
            # on a full disk, half an installation would only stand in the way of the next try
            for path in made:
                path.unlink(missing_ok=True)
            raise


def renew_server(
    directory: Path, *, now: int, hosts: list[str] | None = None, fresh_key: bool = False
) -> CertificateInfo:
    """A new server certificate for ``hosts``, or for the names of the present one.

    The key is kept unless ``fresh_key``: with it one file changes, in one step, and no crash can leave a pair that does
    not fit. RefusedError when the present certificate is of another CA.
    """
    layout = Layout(directory)
    with files.exclusive(layout):
        pair.settle_held(layout)
        authority = Authority.load(layout)
        key: ec.EllipticCurvePrivateKey | None = None
        if layout.server.exists():
            present = reading.load_chain(layout.server)[0]
            if not authority.has_issued(present):
                raise RefusedError(
                    f"{layout.server} is not of this CA but of {present.issuer.rfc4514_string()}",
                    hint="dockgate cert import --chain F --key F",
                )
            hosts = hosts or list(reading.sans_of(present))
            stored = reading.load_key(layout.server_key) if layout.server_key.exists() else None
            if isinstance(stored, ec.EllipticCurvePrivateKey) and not fresh_key:
                key = stored
        if not hosts:
            raise UsageError("there is no server certificate whose names could be kept: name the hosts")
        return _issue_server(layout, authority, hosts, key or new_key(), now=now, replace=True, write_key=key is None)


def _issue_server(
    layout: Layout,
    authority: Authority,
    hosts: list[str],
    key: ec.EllipticCurvePrivateKey,
    *,
    now: int,
    replace: bool,
    write_key: bool = True,
) -> CertificateInfo:
    sans = names.alternative_names(hosts)
    certificate = authority.sign(
        _leaf(key, _server_subject(sans), ExtendedKeyUsageOID.SERVER_AUTH).add_extension(
            # RFC 5280 4.2.1.6: critical when it is the only name
            x509.SubjectAlternativeName(sans),
            critical=not _server_subject(sans).rdns,
        ),
        now=now,
        lifetime=SERVER_LIFETIME,
    )
    _keep(layout, certificate)
    if write_key and replace:
        pair.place(layout, key_pem(key), certificate_pem(certificate))
        return reading.describe(certificate, now=now)
    if write_key:
        files.write_private(layout.server_key, key_pem(key))
    files.write_public(layout.server, certificate_pem(certificate), replace=replace)
    return reading.describe(certificate, now=now)


def _server_subject(sans: list[x509.GeneralName]) -> x509.Name:
    first = names.text_of(sans[0])
    if len(first) > files.MAX_CLIENT_NAME:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, first)])


def issue_client(directory: Path, name: str, *, now: int, replace: bool = False) -> CertificateInfo:
    """``clients/NAME.pem`` and ``.key`` for the account NAME. ConflictError: they exist and ``replace`` is not set."""
    layout = Layout(directory)
    certificate_file, key_file = layout.client(name), layout.client_key(name)
    with files.exclusive(layout):
        authority = Authority.load(layout)
        files.make_directory(layout.clients, files.PRIVATE_DIRECTORY_MODE)
        if not replace and (certificate_file.exists() or key_file.exists()):
            raise ConflictError(
                f"{certificate_file}: exists already and is left alone", hint=f"dockgate cert issue {name} --replace"
            )
        key = new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = authority.sign(
            _leaf(key, subject, ExtendedKeyUsageOID.CLIENT_AUTH), now=now, lifetime=CLIENT_LIFETIME
        )
        _keep(layout, certificate)
        files.write_private(key_file, key_pem(key), replace=replace)
        files.write_public(certificate_file, certificate_pem(certificate), replace=replace)
        return reading.describe(certificate, now=now)


def _leaf(key: ec.EllipticCurvePrivateKey, subject: x509.Name, usage: x509.ObjectIdentifier) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _keep(layout: Layout, certificate: x509.Certificate) -> None:
    """Before the certificate is used anywhere: what is not kept could not be revoked."""
    files.make_directory(layout.issued)
    files.write_public(layout.issued_file(reading.serial_text(certificate.serial_number)), certificate_pem(certificate))


def revoke(directory: Path, serial: str, *, now: int) -> CertificateInfo:
    """Put a certificate on the list. NotFoundError: none of this CA has that serial. Revoking twice changes nothing."""
    layout = Layout(directory)
    wanted = parse_serial(serial)
    with files.exclusive(layout):
        authority = Authority.load(layout)
        issued_file = layout.issued_file(wanted)
        if not issued_file.exists():
            raise NotFoundError(f"no certificate of this CA has the serial {wanted}", hint="dockgate cert list")
        certificate = reading.load_chain(issued_file)[0]
        revoked, number = _revoked(layout, authority)
        if all(entry.serial != wanted for entry in revoked):
            _write_crl(layout, authority, [*revoked, Revoked(wanted, now)], number + 1, now=now)
        return reading.describe(certificate, now=now)


def renew_crl(directory: Path, *, now: int) -> CrlInfo:
    """The same list, signed anew; an empty one when there is none."""
    layout = Layout(directory)
    with files.exclusive(layout):
        authority = Authority.load(layout)
        revoked, number = _revoked(layout, authority)
        _write_crl(layout, authority, revoked, number + 1, now=now)
        return reading.inspect_crl(layout.crl, now=now)


def revokes_more(crl: Path, other: Path, *, ca: Path) -> bool:
    """Is ``crl`` a list of ``ca`` that was signed after ``other``: then going back to ``other`` would let revoked ones in."""
    try:
        authority, newer = reading.load_chain(ca)[0], reading.load_crl(crl)
        if not newer.is_signature_valid(authority.public_key()):  # type: ignore[arg-type] # any other kind is refused there
            return False
        return not other.exists() or (reading.inspect_crl(crl, now=0).number or 0) > (
            reading.inspect_crl(other, now=0).number or 0
        )
    except (DockgateError, TypeError):
        return False


def _revoked(layout: Layout, authority: Authority) -> tuple[list[Revoked], int]:
    if not layout.crl.exists():
        return [], 0
    crl = reading.load_crl(layout.crl)
    if not crl.is_signature_valid(authority.key.public_key()):
        raise RefusedError(f"{layout.crl} is not signed by {layout.ca}", hint="restore both from one backup")
    info = reading.inspect_crl(layout.crl, now=0)
    return list(info.revoked), info.number or 0


def _write_crl(layout: Layout, authority: Authority, revoked: list[Revoked], number: int, *, now: int) -> None:
    crl = authority.sign_crl(revoked, number=number, now=now)
    files.write_public(layout.crl, certificate_pem(crl), replace=True)


def parse_serial(text: str) -> str:
    """Hexadecimal as other tools print it (``0x``, colons, capitals) -> as ours. UsageError."""
    digits = text.strip().lower().removeprefix("0x").replace(":", "").lstrip("0")
    if not digits or len(digits) > 40 or not set(digits) <= set("0123456789abcdef"):  # RFC 5280 4.1.2.2: 20 octets
        raise UsageError(f"{text!r} is not the serial of a certificate (hexadecimal)")
    return digits


def list_issued(directory: Path, *, now: int) -> list[Issued]:
    """Every certificate the CA has issued, oldest first, revoked ones included. An imported one is not among them."""
    layout = Layout(directory)
    if not layout.issued.is_dir():
        return []
    revoked = (
        {entry.serial: entry.at for entry in reading.inspect_crl(layout.crl, now=now).revoked}
        if layout.crl.exists()
        else {}
    )
    in_use = {
        reading.inspect(path, now=now).fingerprint_sha256: path
        for path in (layout.server, *sorted(layout.clients.glob("*.pem")))
        if path.exists()
    }
    listed = []
    for path in layout.issued.glob("*.pem"):
        certificate = reading.load_chain(path)[0]
        info = reading.describe(certificate, now=now)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        listed.append(
            Issued(
                kind="client" if ExtendedKeyUsageOID.CLIENT_AUTH in usage else "server",
                info=info,
                path=in_use.get(info.fingerprint_sha256),
                revoked_at=revoked.get(info.serial),
            )
        )
    return sorted(listed, key=lambda one: (one.info.not_before, one.info.serial))
