"""An account's first SN: an identity and an SN come in, the identity with that SN or the reason of a refusal goes out.

Two connections must never both get an SN, and an account never two, however their messages interleave.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from gateway.errors import ConflictError, DatabaseError, NotFoundError
from gateway.model import Account, Identity, Role
from gateway.refusals import Denied, Reason, shown
from gateway.services import Services
from gateway.store import accounts
from gateway.topics import is_valid_sn

_log = logging.getLogger(__name__)


def is_current(services: Services, identity: Identity) -> bool:
    account = services.directory.account(identity.account)
    return account is not None and account.enabled and account.version == identity.version


class Pins:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = services.directory
        # account -> the SN it claims and the task that writes it; entered before anything waits
        self._claims: dict[str, tuple[str, asyncio.Task[Identity | Denied]]] = {}

    async def pin(self, identity: Identity, sn: str) -> Identity | Denied:
        account = self._directory.account(identity.account)
        reason = self._why_not(identity, account, sn)
        claim = self._claims.get(identity.account)
        if reason is None and claim is not None:
            if claim[0] == sn:
                return await asyncio.shield(claim[1])
            reason = Reason.HAS_OTHER_SN
        if reason is not None or account is None:
            return self._tell(identity, sn, Denied(reason or Reason.UNKNOWN_ACCOUNT))
        if account.sn == sn:
            return replace(identity, sn=sn)
        # A task of its own: a client that hangs up must not take back what the database is about to commit.
        task = self._services.tasks.spawn(self._write(identity, sn), name="pin")
        self._claims[identity.account] = (sn, task)
        task.add_done_callback(lambda _: self._claims.pop(identity.account))
        return await asyncio.shield(task)

    def _why_not(self, identity: Identity, account: Account | None, sn: str) -> Reason | None:
        if account is None:
            return Reason.UNKNOWN_ACCOUNT
        if not is_current(self._services, identity):
            return Reason.ACCOUNT_CHANGED
        if account.role is not Role.DOCK:
            return Reason.NOT_A_DOCK
        if not is_valid_sn(sn):
            return Reason.BAD_SN
        if account.sn is not None:
            return None if account.sn == sn else Reason.HAS_OTHER_SN
        claims = (claim for name, (claim, _) in self._claims.items() if name != account.name)
        if self._directory.account_pinned_to(sn) is not None or sn in claims:
            return Reason.SN_TAKEN
        device = self._directory.device(sn)
        if device is not None and not device.is_gateway:
            return Reason.SN_IS_AIRCRAFT
        owner = None if device is None else device.organization_id
        if owner is not None and account.organization_id not in {None, owner}:
            # without this an account of one organization could speak as a dock of another whose account is gone
            return Reason.SN_OF_OTHER_ORGANIZATION
        return None

    async def _write(self, identity: Identity, sn: str) -> Identity | Denied:
        services = self._services
        try:
            account = await services.store.write(accounts.pin_sn, identity.account, sn, services.clock(), durable=True)
        except ConflictError:  # another process was faster
            return self._tell(identity, sn, Denied(Reason.SN_TAKEN))
        except NotFoundError:
            return self._tell(identity, sn, Denied(Reason.UNKNOWN_ACCOUNT))
        except DatabaseError as error:
            services.metrics.database.failures.add(error.code)
            _log.error("account=%s is not pinned to sn=%s: %s", shown(identity.account), sn, error)
            return self._tell(identity, sn, Denied(Reason.UNAVAILABLE))
        self._directory.apply_accounts([account])
        return self._tell(identity, sn, replace(identity, sn=account.sn))

    def _tell(self, identity: Identity, sn: str, result: Identity | Denied) -> Identity | Denied:
        services = self._services
        detail = {"dock": shown(sn)}
        if isinstance(result, Denied):
            services.metrics.logins.pins_refused.add(result.reason.value)
            detail["reason"] = result.reason.value
        else:
            services.metrics.logins.pinned += 1
        is_new = services.audit.record(
            actor=identity.account,
            action="pin",
            target=identity.account,
            outcome="refused" if isinstance(result, Denied) else "ok",
            detail=detail,
        )
        if is_new and isinstance(result, Denied):
            # on no topic: the SN is only what the account claims
            services.events.emit(None, "refused", account=identity.account, **detail)
        return result
