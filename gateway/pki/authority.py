"""The installation's own CA: makes it once, loads it, signs certificates and revocation lists with it.

The CA key stays in its file with mode 0600 and in this object; it is in no text and is sent nowhere.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import ConfigError, RefusedError
from gateway.pki import files
from gateway.pki import inspection as reading
from gateway.pki.files import Layout

# P-256: about 2,000 TLS 1.3 handshakes a second on a core against 870 with RSA-2048, and every TLS library has it.
CURVE = ec.SECP256R1()
HASH = hashes.SHA256()
# Renewing a CA means visiting each dock; ten years outlive the hardware, and nobody limits a private CA's lifetime.
CA_LIFETIME = timedelta(days=3650)
# A dock without NTP comes up with a wrong clock and takes a certificate as not valid yet (docs/protocol.md 3.1, C34):
# two days cover a wrong time zone and a clock that stood still over night.
BACKDATED = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls, layout: Layout, *, now: int) -> Authority:
        """A new CA in the directory. ConflictError when there is one."""
        key = new_key()
        moment = reading.moment_of(now)
        # the number keeps the CAs of two installations apart: a client looks its issuer up by name
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"dockgate CA {secrets.token_hex(4)}")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment - BACKDATED)
            .not_valid_after(moment + CA_LIFETIME)
            # path length 0: it signs leaves, never another CA
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, HASH)
        )
        files.write_private(layout.ca_key, key_pem(key))
        files.write_public(layout.ca, certificate_pem(certificate))
        return cls(certificate, key)

    @classmethod
    def load(cls, layout: Layout) -> Authority:
        """NotFoundError: no CA here. ConfigError: unreadable, or key and certificate are of two CAs."""
        certificate = reading.load_chain(layout.ca)[0]
        key = reading.load_key(layout.ca_key)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not reading.same_key(certificate, key):
            raise ConfigError(f"{layout.ca_key}: is not the key of {layout.ca}", hint="restore both from one backup")
        if not reading.is_ca(certificate):
            raise ConfigError(f"{layout.ca}: is not a CA certificate")
        return cls(certificate, key)

    def has_issued(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def sign(self, builder: x509.CertificateBuilder, *, now: int, lifetime: timedelta) -> x509.Certificate:
        """Issuer, serial, validity and issuer's key identifier are added here. It ends with the CA at the latest."""
        start = reading.moment_of(now) - BACKDATED
        end = min(start + lifetime, self.certificate.not_valid_after_utc)
        if reading.milliseconds(end) <= now:
            raise RefusedError(
                "the CA has expired: what it signs would not be accepted", hint="dockgate init --dir NEW"
            )
        ski = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            builder.issuer_name(self.certificate.subject)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
            .sign(self.key, HASH)
        )

    def sign_crl(self, revoked: list[reading.Revoked], *, number: int, now: int) -> x509.CertificateRevocationList:
        """Valid as long as the CA: the list lies beside it on one machine, so nobody can keep a newer one back.

        An expired list would lock every client out: OpenSSL fails each handshake then.
        """
        ski = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(reading.moment_of(now) - BACKDATED)
            .next_update(self.certificate.not_valid_after_utc)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for entry in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(entry.serial, 16))
                .revocation_date(reading.moment_of(entry.at))
                .build()
            )
        return builder.sign(self.key, HASH)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(CURVE)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_pem(certificate: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
