"""Certificates: what there is, with what is left of it; and issuing, renewing, revoking by this installation's own CA.

Keys stay in their files: what wants a key from elsewhere (``cert import``) or hands one out (``--p12``) is for the command line.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gateway.operations import issued
from gateway.web import answers, wishes
from gateway.web.declarations import Call, Endpoints

endpoints = Endpoints("certificates")


@endpoints.add(
    "GET",
    "/certificates",
    "The CA, what it has issued, and others that are in use",
    gives=list[answers.ListedCertificate],
)
async def every(call: Call) -> list[dict[str, Any]]:
    return await call.context.off_loop(issued.every, call.context.config, call.context.now)


@endpoints.add(
    "POST",
    "/certificates",
    "Issue a client certificate for an account; its files lie with the others",
    takes=wishes.CertificateWish,
    gives=answers.Certificate,
    status=HTTPStatus.CREATED,
    errors=(404, 409),
)
async def issue(call: Call, wish: wishes.CertificateWish) -> dict[str, Any]:
    layout = issued.layout_of(call.context.config)
    return await call.change(lambda change: issued.issue(change, layout, wish.name, replace=wish.replace))


@endpoints.add(
    "POST",
    "/certificates/renew",
    "Renew the server certificate of the own CA; new connections get it at once",
    takes=wishes.RenewalWish,
    gives=answers.Certificate,
    errors=(404, 422),
)
async def renew(call: Call, wish: wishes.RenewalWish) -> dict[str, Any]:
    config = call.context.config
    found = await call.change(lambda change: issued.renew(change, config, hosts=wish.hosts, new_key=wish.new_key))
    await call.context.reload_certificates()
    return found


@endpoints.add(
    "POST",
    "/certificates/revoke",
    "Put a client certificate on the revocation list, for good",
    takes=wishes.RevokedCertificateWish,
    gives=answers.RevokedCertificate,
    errors=(404, 409),
)
async def revoke(call: Call, wish: wishes.RevokedCertificateWish) -> dict[str, Any]:
    layout = issued.layout_of(call.context.config)
    found, _ = await call.change(lambda change: issued.revoke(change, layout, wish.serial))
    await call.context.reload_certificates()
    return found
