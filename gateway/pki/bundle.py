"""A client's certificate, key and CA as one PKCS#12 file (RFC 7292), for programs that take no PEM.

In: the certificate directory, the name, a password. Out: the bytes of the file, encrypted with that password.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from gateway.errors import ConfigError
from gateway.pki import inspection as reading
from gateway.pki.files import Layout

# What OpenSSL 3 writes by itself. The older kinds (RC2, 3DES, SHA-1) can be broken, and OpenSSL 3 reads them on request only.
_CIPHER = pkcs12.PBES.PBESv2SHA256AndAES256CBC
_MAC = hashes.SHA256()
# OWASP's number for PBKDF2 with SHA-256 (password storage, 2023); a third of a second, once.
_ROUNDS = 600_000


def client_bundle(directory: Path, name: str, password: str) -> bytes:
    """Errors: NotFoundError: no certificate of that name; ConfigError: key and certificate do not fit."""
    layout = Layout(directory)
    certificate = reading.load_chain(layout.client(name))[0]
    key = reading.load_key(layout.client_key(name))
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not reading.same_key(certificate, key):
        raise ConfigError(f"{layout.client_key(name)}: is not the key of {layout.client(name)}")
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_ROUNDS)
        .key_cert_algorithm(_CIPHER)
        .hmac_hash(_MAC)
        .build(password.encode())
    )
    return pkcs12.serialize_key_and_certificates(
        name.encode(), key, certificate, [reading.load_chain(layout.ca)[0]], encryption
    )
