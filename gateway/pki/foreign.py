"""A server certificate of another CA: its chain and key are checked as a client would, then put in the place of ours.

All findings come in one error, before anything is written. No CA is asked and no missing certificate is fetched.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.errors import RefusedError
from gateway.pki import files, names
from gateway.pki import inspection as reading
from gateway.pki.authority import certificate_pem
from gateway.pki.files import Layout
from gateway.pki.inspection import CertificateInfo

MIN_RSA_BITS = 2048  # OpenSSL's default security level refuses less
# With fewer days than this left, the renewal is a matter for today.
SOON_DAYS = 14


@dataclass(frozen=True, slots=True)
class Imported:
    """``warnings``: what does not stop the import and may still stop a dock."""

    info: CertificateInfo
    warnings: tuple[str, ...]


def import_server(
    directory: Path, *, chain_file: Path, key_file: Path, now: int, hosts: tuple[str, ...] = ()
) -> Imported:
    """Check and take over. ``hosts``: names that the certificate must be valid for. RefusedError with every finding."""
    chain = reading.load_chain(chain_file)
    key = reading.load_key(key_file)
    leaf = chain[0]
    info = reading.describe(leaf, now=now)
    findings = [
        *_order(chain),
        *(
            f"the key in {key_file} is not the key of the first certificate"
            for _ in [0]
            if not reading.same_key(leaf, key)
        ),
        *_key_strength(key),
        *_validity(chain, now),
        *_purpose(leaf, info),
        *_names(info, hosts),
    ]
    if findings:
        raise RefusedError(f"{chain_file}: " + "; ".join(findings))
    layout = Layout(directory)
    files.make_directory(directory)
    with files.exclusive(layout):
        # Written anew from what was parsed: text around the blocks, Windows line ends and further keys stay behind.
        # Key before certificate: a reader between the two sees a pair that does not fit, and keeps the pair it has.
        files.write_private(layout.server_key, _key_pem(key), replace=True)
        files.write_public(layout.server, b"".join(certificate_pem(certificate) for certificate in chain), replace=True)
    return Imported(info, tuple(_warnings(chain, info)))


def _order(chain: list[x509.Certificate]) -> list[str]:
    findings = []
    for index, (one, following) in enumerate(itertools.pairwise(chain), start=1):
        try:
            one.verify_directly_issued_by(following)
        except (ValueError, TypeError, InvalidSignature):
            findings.append(
                f"certificate {index} ({one.subject.rfc4514_string()}) is not issued by certificate {index + 1}"
                f" ({following.subject.rfc4514_string()}): first the server's, then each issuer in turn"
            )
        else:
            if not reading.is_ca(following):
                findings.append(f"certificate {index + 1} ({following.subject.rfc4514_string()}) is not a CA")
    return findings


def _key_strength(key: PrivateKeyTypes) -> list[str]:
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        return [f"the RSA key has {key.key_size} bits; TLS needs {MIN_RSA_BITS}"]
    if not isinstance(
        key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
    ):
        return ["a key of this kind cannot be used for TLS"]
    return []


def _validity(chain: list[x509.Certificate], now: int) -> list[str]:
    findings = []
    for index, certificate in enumerate(chain, start=1):
        info = reading.describe(certificate, now=now)
        if now >= info.not_after:
            findings.append(f"certificate {index} ({info.subject}) expired on {reading.day(info.not_after)}")
        elif now < info.not_before:
            findings.append(f"certificate {index} ({info.subject}) is valid only from {reading.day(info.not_before)}")
    return findings


def _purpose(leaf: x509.Certificate, info: CertificateInfo) -> list[str]:
    if info.is_ca and len(info.sans) == 0:
        return ["the first certificate is a CA: the server's comes first"]
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return []
    allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return [] if allowed & set(usages) else ["the certificate is not for servers (no serverAuth)"]


def _names(info: CertificateInfo, hosts: tuple[str, ...]) -> list[str]:
    if not info.sans:
        return ["it names no host (no subject alternative name): clients do not look at the common name"]
    missing = [host for host in hosts if not names.covers(info.sans, host)]
    return [f"it is for {', '.join(info.sans)}, not for {', '.join(missing)}"] if missing else []


def _warnings(chain: list[x509.Certificate], info: CertificateInfo) -> list[str]:
    warnings = []
    last = chain[-1]
    if len(chain) == 1 and last.issuer != last.subject:
        warnings.append(
            f"the chain holds the server's certificate only: a dock that does not know {info.issuer} itself refuses it;"
            " append that CA's certificate"
        )
    if info.days_left < SOON_DAYS:
        warnings.append(f"it expires in {info.days_left} days")
    return warnings


def _key_pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
