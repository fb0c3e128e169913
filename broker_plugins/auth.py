"""Login: an amqtt session's user name, password and client certificate -> ``gateway.auth`` -> yes or no, and an Identity."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING, Any, cast

from amqtt.plugins.base import BaseAuthPlugin

from broker_plugins.context import runtime_of
from gateway.auth import Denied, PeerCertificate
from gateway.broker.codec.packets import Reason
from gateway.broker.session import IDENTITY, REFUSAL

if TYPE_CHECKING:
    from amqtt.contexts import BaseContext
    from amqtt.session import Session

# What CONNACK says: an unknown account and a wrong password look the same.
_REASONS = {
    "locked_out": Reason.BANNED,
    "certificate_mismatch": Reason.NOT_AUTHORIZED,
    "busy": Reason.SERVER_BUSY,
}


class AccountAuthPlugin(BaseAuthPlugin):
    """Accounts of the database. Never opens anything to a client without a user name."""

    begins_at_once = True

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._authenticator = runtime_of(context).authenticator

    async def authenticate(self, *, session: Session) -> bool | None:
        outcome = await self._authenticator.login(
            username=session.username,
            password=session.password,
            address=session.remote_address or "",
            client_id=session.client_id or "",
            certificate=_shown(session.ssl_object),
        )
        if isinstance(outcome, Denied):
            session.attributes[REFUSAL] = _REASONS.get(outcome.reason, Reason.BAD_USER_NAME_OR_PASSWORD)
            return False
        session.attributes[IDENTITY] = outcome
        return True


def _shown(tls: ssl.SSLObject | None) -> PeerCertificate | None:
    """The certificate that the client has shown and the listener has verified; None without one."""
    verified = cast("dict[str, Any] | None", tls.getpeercert()) if tls is not None else None
    if tls is None or not verified:
        return None
    common = [text for parts in verified["subject"] for name, text in parts if name == "commonName"]
    dns = [text for kind, text in verified.get("subjectAltName", ()) if kind == "DNS"]
    return PeerCertificate(
        names=tuple(common + dns),
        serial=int(verified["serialNumber"], 16),
        fingerprint_sha256=hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest(),
    )
