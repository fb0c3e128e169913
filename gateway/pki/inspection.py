"""What a certificate, a key or a revocation list says: a PEM file in, a frozen record or an error in plain words out.

Reads public parts only for show; a key is loaded to be compared, and is neither kept nor printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

from gateway.errors import ConfigError
from gateway.pki import files, names

DAY_MS = 24 * 60 * 60 * 1000
# What the library raises for what is no certificate, mostly not when it is loaded but when a part of it is first looked at:
# so everything is looked at where it is loaded.
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInfo:
    """Times in ms since 1970; serial and fingerprint in lower-case hexadecimal; ``days_left`` negative when expired."""

    subject: str
    common_name: str | None
    sans: tuple[str, ...]
    issuer: str
    serial: str
    fingerprint_sha256: str
    not_before: int
    not_after: int
    days_left: int
    is_ca: bool


@dataclass(frozen=True, slots=True)
class Revoked:
    serial: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlInfo:
    issuer: str
    number: int | None
    this_update: int
    next_update: int | None
    expired: bool
    revoked: tuple[Revoked, ...]


def inspect(path: Path, *, now: int) -> CertificateInfo:
    """The first certificate of the file. NotFoundError: no such file; ConfigError: no certificate in it."""
    return describe(load_chain(path)[0], now=now)


def inspect_crl(path: Path, *, now: int) -> CrlInfo:
    """NotFoundError: no such file; ConfigError: no revocation list in it."""
    return _describe_crl(load_crl(path), now=now)


def _describe_crl(crl: x509.CertificateRevocationList, *, now: int) -> CrlInfo:
    next_update = crl.next_update_utc
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = None
    return CrlInfo(
        issuer=crl.issuer.rfc4514_string(),
        number=number,
        this_update=milliseconds(crl.last_update_utc),
        next_update=None if next_update is None else milliseconds(next_update),
        expired=next_update is not None and milliseconds(next_update) <= now,
        revoked=tuple(
            Revoked(serial_text(entry.serial_number), milliseconds(entry.revocation_date_utc)) for entry in crl
        ),
    )


def check_pair(certfile: Path, keyfile: Path, *, now: int) -> CertificateInfo:
    """ConfigError unless the key belongs to the first certificate and that is valid at ``now``."""
    certificate = load_chain(certfile)[0]
    if not same_key(certificate, load_key(keyfile)):
        raise ConfigError(f"{keyfile}: is not the key of {certfile}", hint="dockgate cert import --chain F --key F")
    info = describe(certificate, now=now)
    if not info.not_before <= now < info.not_after:
        is_over = now >= info.not_after
        state = "has expired" if is_over else "is not valid yet"
        raise ConfigError(
            f"{certfile}: {state} ({day(info.not_before)} to {day(info.not_after)})",
            hint="dockgate cert renew" if is_over else "set the clock of this machine right: timedatectl",
        )
    return info


def describe(certificate: x509.Certificate, *, now: int) -> CertificateInfo:
    not_after = milliseconds(certificate.not_valid_after_utc)
    common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CertificateInfo(
        subject=certificate.subject.rfc4514_string(),
        common_name=str(common_names[0].value) if common_names else None,
        sans=sans_of(certificate),
        issuer=certificate.issuer.rfc4514_string(),
        serial=serial_text(certificate.serial_number),
        fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=milliseconds(certificate.not_valid_before_utc),
        not_after=not_after,
        days_left=(not_after - now) // DAY_MS,
        is_ca=is_ca(certificate),
    )


def describe_der(der: bytes, *, now: int) -> CertificateInfo:
    """A certificate as TLS hands it over. ConfigError when it is none."""
    try:
        return describe(x509.load_der_x509_certificate(der), now=now)
    except _UNREADABLE as error:
        raise ConfigError("not a readable certificate") from error


def sans_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.text_of(name) for name in extension.value)


def is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def load_chain(path: Path) -> list[x509.Certificate]:
    """Every certificate of a PEM file in its order; at least one. NotFoundError, ConfigError."""
    data = files.read(path)
    try:
        chain = x509.load_pem_x509_certificates(data)
        for certificate in chain:
            describe(certificate, now=0)
            certificate.public_key()
    except _UNREADABLE as error:
        raise ConfigError(f"{path}: holds no readable PEM certificate") from error
    return chain


def load_crl(path: Path) -> x509.CertificateRevocationList:
    data = files.read(path)
    try:
        crl = x509.load_pem_x509_crl(data)
        _describe_crl(crl, now=0)
    except _UNREADABLE as error:
        raise ConfigError(f"{path}: holds no readable PEM revocation list") from error
    return crl


def load_key(path: Path) -> PrivateKeyTypes:
    """NotFoundError, ConfigError; the text never holds a part of the key."""
    data = files.read(path)
    try:
        return serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise ConfigError(
            f"{path}: the key is locked with a passphrase, which a service cannot type",
            hint=f"openssl pkey -in {path} -out unlocked.key",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: holds no readable PEM private key") from None


def same_key(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    encoding, shape = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(encoding, shape) == key.public_key().public_bytes(encoding, shape)


def serial_text(number: int) -> str:
    return f"{number:x}"


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def moment_of(now: int) -> datetime:
    """Whole seconds, as certificates have no smaller ones (RFC 5280 4.1.2.5)."""
    return datetime.fromtimestamp(now // 1000, UTC)


def day(moment: int) -> str:
    return moment_of(moment).date().isoformat()
