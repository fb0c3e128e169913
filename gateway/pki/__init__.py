"""Certificates: an own CA, server and client certificates, revocation, import of foreign ones, inspection.

The rooms above hand over a directory and the time; what comes back are records and files. Private keys never leave here
except into their files.
"""

from __future__ import annotations

from gateway.pki.files import Layout
from gateway.pki.foreign import Imported, import_server
from gateway.pki.inspection import (
    CertificateInfo,
    CrlInfo,
    Revoked,
    check_pair,
    describe_der,
    inspect,
    inspect_crl,
)
from gateway.pki.leaf import (
    Issued,
    initialize,
    issue_client,
    list_issued,
    renew_crl,
    renew_server,
    revoke,
)
from gateway.pki.names import covers, local_names

__all__ = [
    "CertificateInfo",
    "CrlInfo",
    "Imported",
    "Issued",
    "Layout",
    "Revoked",
    "check_pair",
    "covers",
    "describe_der",
    "import_server",
    "initialize",
    "inspect",
    "inspect_crl",
    "issue_client",
    "list_issued",
    "local_names",
    "renew_crl",
    "renew_server",
    "revoke",
]
