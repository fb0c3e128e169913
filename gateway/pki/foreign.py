"""A server certificate of another CA: its chain and key are checked as a client would, then put in the place of ours.

All findings come in one error, before anything is written. No CA is asked and no missing certificate is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from gateway.errors import RefusedError
from gateway.pki import examination, files, pair
from gateway.pki import inspection as reading
from gateway.pki.authority import certificate_pem
from gateway.pki.files import Layout
from gateway.pki.inspection import CertificateInfo

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
    info = reading.describe(chain[0], now=now)
    found = examination.flaws(chain, key, key_file=key_file, now=now, hosts=hosts)
    if found:
        raise RefusedError(f"{chain_file}: " + "; ".join(flaw.what for flaw in found))
    layout = Layout(directory)
    files.make_directory(directory)
    with files.exclusive(layout):
        pair.settle_held(layout)
        # Written anew from what was parsed: text around the blocks, Windows line ends and further keys stay behind.
        pair.place(layout, _key_pem(key), b"".join(certificate_pem(certificate) for certificate in chain))
    return Imported(info, tuple(_warnings(chain, info)))


def _warnings(chain: list[x509.Certificate], info: CertificateInfo) -> list[str]:
    warnings = examination.incomplete(chain)
    if info.days_left < SOON_DAYS:
        warnings.append(f"it expires in {info.days_left} days")
    return warnings


def _key_pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
