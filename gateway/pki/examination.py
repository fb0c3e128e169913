"""Would a client accept it: a server's chain and key, or what a listener asks of clients, come in; every flaw goes out.

What ``import_server`` refuses and what ``dockgate doctor`` finds are the same list. Nothing is changed, and no CA is asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.errors import DockgateError
from gateway.pki import inspection as reading
from gateway.pki import names
from gateway.pki.files import Layout
from gateway.pki.inspection import CertificateInfo

MIN_RSA_BITS = 2048  # OpenSSL's default security level refuses less
# The one public authority that the documents of the docks name (docs/protocol.md 3), by the words in its certificates.
_NAMED_AUTHORITY = ("godaddy", "go daddy", "starfield")


class Fault(StrEnum):
    """What kind of flaw it is; all but ``INCOMPLETE`` make a client refuse the certificate now."""

    ORDER = "order"
    KEY = "key"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    PURPOSE = "purpose"
    NAMES = "names"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Flaw:
    fault: Fault
    what: str


class Authority(StrEnum):
    """Who has signed a server certificate: ours, somebody's own, the public one that docks' documents name, or another."""

    OWN = "own"
    PRIVATE = "private"
    NAMED = "named"
    OTHER = "other"


class ClientFault(StrEnum):
    """What is wrong with a listener's client CAs and revocation lists."""

    UNREADABLE = "unreadable"
    CA_EXPIRED = "ca_expired"
    CA_EXPIRING = "ca_expiring"
    CRL_EXPIRED = "crl_expired"
    CRL_EXPIRING = "crl_expiring"
    CRL_OF_OTHER_CA = "crl_of_other_ca"
    CRL_UNUSED = "crl_unused"


@dataclass(frozen=True, slots=True)
class ClientFlaw:
    fault: ClientFault
    what: str


def flaws(
    chain: list[x509.Certificate], key: PrivateKeyTypes, *, key_file: Path, now: int, hosts: tuple[str, ...] = ()
) -> list[Flaw]:
    """Everything that makes a client refuse this chain and key; ``hosts``: names that it must be valid for."""
    leaf = chain[0]
    info = reading.describe(leaf, now=now)
    found = [Flaw(Fault.ORDER, what) for what in _order(chain)]
    if not reading.same_key(leaf, key):
        found.append(Flaw(Fault.KEY, f"the key in {key_file} is not the key of the first certificate"))
    found += [Flaw(Fault.KEY, what) for what in _key_strength(key)]
    found += _validity(chain, now)
    found += [Flaw(Fault.PURPOSE, what) for what in _purpose(leaf, info)]
    found += [Flaw(Fault.NAMES, what) for what in _names(info, hosts)]
    return found


def examine_server(certfile: Path, keyfile: Path, *, now: int, hosts: tuple[str, ...] = ()) -> list[Flaw]:
    """``flaws`` of two files, and whether the chain is complete. Errors: NotFoundError, ConfigError: unreadable."""
    chain = reading.load_chain(certfile)
    found = flaws(chain, reading.load_key(keyfile), key_file=keyfile, now=now, hosts=hosts)
    # With our own CA the client has to be given the CA anyway
    if authority_of(certfile) is not Authority.OWN:
        found += [Flaw(Fault.INCOMPLETE, what) for what in incomplete(chain)]
    return found


def incomplete(chain: list[x509.Certificate]) -> list[str]:
    last = chain[-1]
    if len(chain) > 1 or last.issuer == last.subject:
        return []
    issuer = last.issuer.rfc4514_string()
    what = f"the chain holds the server's certificate only: a dock that does not know {issuer} itself refuses it;"
    return [f"{what} append that CA's certificate"]


def authority_of(certfile: Path) -> Authority:
    """By the CA that lies beside the certificate, and by the issuer's name; nobody is asked. Errors: as ``load_chain``."""
    chain = reading.load_chain(certfile)
    if is_ours(certfile):
        return Authority.OWN
    last = chain[-1]
    if last.issuer == last.subject and len(chain) == 1:
        return Authority.PRIVATE
    text = f"{last.issuer.rfc4514_string()} {chain[0].issuer.rfc4514_string()}".lower()
    return Authority.NAMED if any(name in text for name in _NAMED_AUTHORITY) else Authority.OTHER


def is_ours(certfile: Path) -> bool:
    """Has the CA beside it, whose key is there too, issued this certificate: then it can be renewed here."""
    layout = Layout(certfile.parent)
    if not layout.ca.is_file() or not layout.ca_key.is_file():
        return False
    try:
        reading.load_chain(certfile)[0].verify_directly_issued_by(reading.load_chain(layout.ca)[0])
    except (DockgateError, ValueError, TypeError, InvalidSignature):
        return False
    return True


def examine_clients(cafile: Path, crlfile: Path | None, *, now: int, soon_days: int) -> list[ClientFlaw]:
    """What keeps clients with certificates out, or lets revoked ones in."""
    try:
        authorities = reading.load_chain(cafile)
    except DockgateError as error:
        return [ClientFlaw(ClientFault.UNREADABLE, str(error))]
    found = []
    for authority in authorities:
        info = reading.describe(authority, now=now)
        if info.not_after <= now:
            what = f"{cafile}: the CA {info.subject} expired on {reading.day(info.not_after)}"
            found.append(ClientFlaw(ClientFault.CA_EXPIRED, what))
        elif info.days_left < soon_days:
            what = f"{cafile}: the CA {info.subject} expires in {info.days_left} days"
            found.append(ClientFlaw(ClientFault.CA_EXPIRING, what))
    if crlfile is not None:
        return [*found, *_revocations(authorities, crlfile, now, soon_days)]
    own = Layout(cafile.parent).crl
    if own.is_file():
        try:
            revoked = reading.inspect_crl(own, now=now).revoked
        except DockgateError as error:
            return [*found, ClientFlaw(ClientFault.UNREADABLE, str(error))]
        if revoked:
            what = f"{len(revoked)} revoked certificates still get in: no crlfile is set, and {own} is not looked at"
            found.append(ClientFlaw(ClientFault.CRL_UNUSED, what))
    return found


def _revocations(authorities: list[x509.Certificate], crlfile: Path, now: int, soon_days: int) -> Iterator[ClientFlaw]:
    try:
        crl = reading.load_crl(crlfile)
        info = reading.inspect_crl(crlfile, now=now)
    except DockgateError as error:
        yield ClientFlaw(ClientFault.UNREADABLE, str(error))
        return
    if all(crl.issuer != authority.subject for authority in authorities):
        yield ClientFlaw(
            ClientFault.CRL_OF_OTHER_CA, f"{crlfile}: is of {info.issuer}, which is not among the client CAs"
        )
    if info.expired:
        # OpenSSL fails each handshake with a client certificate then
        yield ClientFlaw(ClientFault.CRL_EXPIRED, f"{crlfile}: expired; no client certificate is accepted any more")
    elif info.next_update is not None and (info.next_update - now) // reading.DAY_MS < soon_days:
        days = (info.next_update - now) // reading.DAY_MS
        yield ClientFlaw(ClientFault.CRL_EXPIRING, f"{crlfile}: expires in {days} days")


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


def _validity(chain: list[x509.Certificate], now: int) -> list[Flaw]:
    findings = []
    for index, certificate in enumerate(chain, start=1):
        info = reading.describe(certificate, now=now)
        if now >= info.not_after:
            what = f"certificate {index} ({info.subject}) expired on {reading.day(info.not_after)}"
            findings.append(Flaw(Fault.EXPIRED, what))
        elif now < info.not_before:
            what = f"certificate {index} ({info.subject}) is valid only from {reading.day(info.not_before)}"
            findings.append(Flaw(Fault.NOT_YET_VALID, what))
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
