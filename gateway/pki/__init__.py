"""Certificates: an own CA, server and client certificates, revocation, import of foreign ones, inspection.

The rooms above hand over a directory and the time; what comes back are records and files. Private keys never leave here
except into their files.
"""

from __future__ import annotations

from gateway.pki.bundle import client_bundle
from gateway.pki.examination import (
    Authority,
    ClientFault,
    ClientFlaw,
    Fault,
    Flaw,
    authority_of,
    examine_clients,
    examine_server,
    is_ours,
)
from gateway.pki.files import Layout, find, write_private
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
    revokes_more,
)
from gateway.pki.names import covers, local_names
from gateway.pki.pair import settle

__all__ = [
    "Authority",
    "CertificateInfo",
    "ClientFault",
    "ClientFlaw",
    "CrlInfo",
    "Fault",
    "Flaw",
    "Imported",
    "Issued",
    "Layout",
    "Revoked",
    "authority_of",
    "check_pair",
    "client_bundle",
    "covers",
    "describe_der",
    "examine_clients",
    "examine_server",
    "find",
    "import_server",
    "initialize",
    "inspect",
    "inspect_crl",
    "is_ours",
    "issue_client",
    "list_issued",
    "local_names",
    "renew_crl",
    "renew_server",
    "revoke",
    "revokes_more",
    "settle",
    "write_private",
]
