"""Who is it: what a CONNECT says comes in, an Identity or the reason of a refusal goes out.

A right password seen before costs microseconds, a refusal that looked at a password costs one run of the slow hash, a
lock costs nothing. No password may reach a log, an event, the audit or an error, or outlive its own check.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from sqlite3 import Connection
from typing import Any

from gateway import passwords
from gateway.clock import steady_of
from gateway.config import LoginSettings
from gateway.credentials import BusyError, HashLine, VerifiedCredentials
from gateway.errors import DatabaseError
from gateway.lockout import WHOLE_ADDRESS, Lock, Lockout, place_of
from gateway.model import Account, Identity, Role
from gateway.pinning import Pins, is_current
from gateway.refusals import Denied, Reason, RefusalLog, shown
from gateway.services import Services
from gateway.store import accounts, lockouts
from gateway.topics import Kind, parse_device_topic

__all__ = ["Authenticator", "Denied", "PeerCertificate", "Reason"]

_log = logging.getLogger(__name__)

# Only a dock uses these with its own SN; the others it may use with its aircraft's.
_ASKING = frozenset({Kind.REQUESTS, Kind.REQUESTS_REPLY, Kind.STATUS, Kind.STATUS_REPLY})

_TOUCH_S = 1.0  # login times are collected this long and written together


# Whoever is refused for these has guessed. The others know the password: that is no reason to lock their whole address.
_GUESSES = frozenset({Reason.UNKNOWN_ACCOUNT, Reason.WRONG_PASSWORD})


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a listener verified. ``names``: the subject's common name and the DNS names, as they stand there."""

    names: tuple[str, ...]
    serial: int
    fingerprint_sha256: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    """``name``: the username if there is such an account, else its ``shown`` form. ``place``: see ``lockout``."""

    username: str
    password: str = field(repr=False)
    certificate: PeerCertificate | None
    name: str
    place: str


class Authenticator:
    """``pool``: where the slow hash runs; the caller's to close when given. After ``close`` every login is ``busy``."""

    def __init__(self, services: Services, settings: LoginSettings, pool: Executor | None = None) -> None:
        self._services = services
        self._directory = services.directory
        self._metrics = services.metrics.logins
        self._line = HashLine(self._metrics, threads=settings.hash_threads, queue=settings.hash_queue, pool=pool)
        self._verified = VerifiedCredentials(settings.verified_cache)
        self._lockout = Lockout(
            services.clock,
            failures=settings.lockout_failures,
            address_failures=settings.address_failures,
            window_s=settings.lockout_window_s,
            lock_s=settings.lockout_s,
        )
        self._refusals = RefusalLog(steady_of(services.clock), self._metrics)
        self._pins = Pins(services)
        self._rehashing: set[str] = set()
        self._touched: dict[str, int] = {}
        self._toucher: asyncio.Task[Any] | None = None
        self._catch_up: Callable[[], Awaitable[None]] | None = None

    def on_doubt(self, catch_up: Callable[[], Awaitable[None]]) -> None:
        """``catch_up`` is awaited before a login is judged that memory alone would not accept at once: an operator may have
        just made the account, and "refused" would be out of date. It must not raise.
        """
        self._catch_up = catch_up

    async def close(self) -> None:
        """Write the login times that wait, end the pool. Before the store closes; idempotent."""
        self._line.close()
        if self._toucher is not None:
            self._toucher.cancel()
            await asyncio.wait({self._toucher})
        await self._write_touched()

    # -- logins ------------------------------------------------------------------------------------------

    async def login(
        self,
        *,
        username: str | None,
        password: str | None,
        address: str,
        client_id: str,
        certificate: PeerCertificate | None,
    ) -> Identity | Denied:
        """``address``: the peer's IP address, without its port. Waits for the pool, and for memory to catch up (``on_doubt``)."""
        if not username or not password:
            return self._refuse(Reason.NO_CREDENTIALS, username or "", address, client_id)
        place = place_of(address)
        is_known = self._is_known(username, password)
        if not is_known and self._catch_up is not None and not self._lockout.is_address_locked(place):
            await self._catch_up()
        name = username if self._directory.account(username) is not None else shown(username)
        attempt = _Attempt(username, password, certificate, name, place)
        try:
            result = await self._decide(attempt, is_known=is_known)
        except BusyError:
            result = Reason.BUSY
        if isinstance(result, Reason):
            return self._refuse(result, username, address, client_id)
        self._metrics.accepted += 1
        return result

    def _is_known(self, username: str, password: str) -> bool:
        account = self._directory.account(username)
        if account is None or not account.enabled:
            return False
        return self._verified.knows(account, password) or (
            passwords.is_cheap(account.password_hash) and passwords.verify(password, account.password_hash)
        )

    async def _decide(self, attempt: _Attempt, *, is_known: bool) -> Identity | Reason:
        """``is_known``: ``_is_known`` has just said so, and nothing has been awaited since."""
        password = attempt.password
        while True:
            account = self._directory.account(attempt.username)
            if self._is_locked(attempt, account):
                return Reason.LOCKED_OUT
            is_cached = account is not None and self._verified.knows(account, password)
            self._metrics.from_cache += is_cached
            known, is_known = is_cached or is_known, False
            if known or account is None or _is_quick(password, account.password_hash):
                right = known or (account is not None and passwords.verify(password, account.password_hash))
                verdict = self._judge(attempt, account, right=right)
                if isinstance(verdict, Reason):
                    # as long as a wrong password for a slow hash takes, so that time tells nothing
                    async with self._line.turn():
                        await self._line.run(passwords.burn)
                return verdict
            async with self._line.turn():
                # Meanwhile an operator may have changed it, another attempt may have verified it, or locked it out.
                if self._is_stale(account) or self._verified.knows(account, password):
                    continue
                if self._is_locked(attempt, account):
                    return Reason.LOCKED_OUT
                right = await self._line.run(passwords.verify, password, account.password_hash)
            if self._is_stale(account):
                continue
            verdict = self._judge(attempt, account, right=right)
            if isinstance(verdict, Identity) and passwords.needs_rehash(account.password_hash):
                self._rehash_later(account, attempt)
            return verdict

    def _is_locked(self, attempt: _Attempt, account: Account | None) -> bool:
        if self._lockout.is_pair_locked(attempt.name, attempt.place):
            return True
        if not self._lockout.is_address_locked(attempt.place):
            return False
        if account is None or not self._verified.was_at(account, attempt.place):
            return True
        # A neighbour behind the same NAT has locked the address; this account is known there, with exactly these
        # credentials. A wrong password still counts: else the exception would be a way to guess without limit.
        if self._verified.knows(account, attempt.password):
            return False
        self._count(attempt, Reason.WRONG_PASSWORD)
        return True

    def _is_stale(self, account: Account) -> bool:
        now = self._directory.account(account.name)
        return now is None or now.version != account.version or now.password_hash != account.password_hash

    def _judge(self, attempt: _Attempt, account: Account | None, *, right: bool) -> Identity | Reason:
        """The one place where a checked password becomes an Identity; failures are counted here, at once."""
        if account is None:
            reason = Reason.UNKNOWN_ACCOUNT
        elif not right:
            reason = Reason.WRONG_PASSWORD
        elif not account.enabled:
            reason = Reason.DISABLED
        elif attempt.certificate is not None and not _names(attempt.certificate, account):
            reason = Reason.CERTIFICATE_MISMATCH
        else:
            self._lockout.succeed(attempt.name, attempt.place)
            self._verified.remember(account, attempt.password, attempt.place)
            self._touch(account.name)
            return _identity(account)
        self._count(attempt, reason)
        return reason

    def _count(self, attempt: _Attempt, reason: Reason) -> None:
        for lock in self._lockout.fail(attempt.name, attempt.place, counts_for_address=reason in _GUESSES):
            whole = lock.account == WHOLE_ADDRESS
            self._metrics.locked.add("address" if whole else "pair")
            self._services.audit.record(
                actor=shown(lock.address),
                action="lockout",
                target=shown(lock.address) if whole else lock.account,
                outcome="locked",
                detail={"reason": reason.value, "failures": lock.failures, "until": lock.locked_until},
            )
            self._services.tasks.spawn(self._store_lock(lock), name="store lockout")

    def _refuse(self, reason: Reason, username: str, address: str, client_id: str) -> Denied:
        self._metrics.refused.add(reason.value)
        account = self._directory.account(username)
        detail = {"reason": reason.value, "address": shown(address), "client_id": shown(client_id)}
        if account is not None and account.sn is not None:
            detail["dock"] = account.sn
        target = (shown(username) or "-") if account is None else account.name
        self._services.audit.record(
            actor=shown(address),
            action="login",
            target=target,
            outcome="refused",
            detail=detail,
        )
        if self._refusals.tell(address=address, account=username, client_id=client_id, reason=reason.value):
            self._services.events.emit(
                detail.get("dock"), "refused", account=target, reason=reason.value, address=shown(address)
            )
        return Denied(reason)

    def _rehash_later(self, account: Account, attempt: _Attempt) -> None:
        if account.name not in self._rehashing:
            self._rehashing.add(account.name)
            self._services.tasks.spawn(self._rehash(account, attempt), name="rehash")

    async def _rehash(self, account: Account, attempt: _Attempt) -> None:
        """Store the same password hashed with today's parameters. Whatever hinders it, the next login tries again."""
        try:
            async with self._line.turn():
                fresh = await self._line.run(passwords.hash_chosen, attempt.password)
            await self._services.store.write(accounts.rehash, account.name, fresh, version=account.version)
            if not self._is_stale(account):
                now = replace(self._directory.account(account.name) or account, password_hash=fresh)
                self._directory.apply_accounts([now])
                self._verified.remember(now, attempt.password, attempt.place)
        except (BusyError, DatabaseError) as error:
            _log.warning("password of account=%s not rehashed: %s", shown(account.name), error)
        finally:
            self._rehashing.discard(account.name)

    def _touch(self, name: str) -> None:
        self._touched[name] = self._services.clock()
        if self._toucher is None or self._toucher.done():
            self._toucher = self._services.tasks.spawn(self._touch_later(), name="login times")

    async def _touch_later(self) -> None:
        await asyncio.sleep(_TOUCH_S)
        await self._write_touched()

    async def _write_touched(self) -> None:
        touched, self._touched = self._touched, {}
        if not touched:
            return
        try:
            await self._services.store.write(accounts.touch_logins, touched)
        except DatabaseError as error:
            self._touched = touched | self._touched
            self._services.metrics.database.failures.add(error.code)

    # -- locks and changes ---------------------------------------------------------------------------------

    def reload(self, locks: Iterable[lockouts.Lock]) -> None:
        """All locks that the database has, at the start and after a foreign change: what is gone there is lifted."""
        self._lockout.reload(
            Lock(
                account=lock.account,
                address=lock.address,
                failures=lock.failures,
                locked_until=lock.locked_until,
                last_at=lock.last_at,
            )
            for lock in locks
            if lock.locked_until is not None
        )

    async def refresh(self) -> None:
        """``reload`` from the store. Through the writer: a lock that is just being stored must not look lifted."""
        self.reload(await self._services.store.write(lockouts.get_all))

    async def forget(self, names: Iterable[str]) -> None:
        """Accounts that changed (``Changes.accounts``): what was remembered and locked before counts no more."""
        for name in names:
            self._verified.forget(name)
            if self._lockout.forget(name):
                try:
                    await self._services.store.write(lockouts.clear, name)
                except DatabaseError as error:
                    self._services.metrics.database.failures.add(error.code)

    async def _store_lock(self, lock: Lock) -> None:
        try:
            await self._services.store.write(_put_lock, lock, self._services.clock())
        except DatabaseError as error:
            self._services.metrics.database.failures.add(error.code)
            _log.error("a lockout is not stored and would not outlive a restart: %s", error)
        else:
            self._lockout.stored(lock)

    def denied(self, identity: Identity, topic: str) -> None:
        """The topic rules said no. If a second dock seems to use an account that has its dock, the operator has to see it."""
        device = parse_device_topic(topic)
        if (
            identity.role is not Role.DOCK
            or identity.sn is None
            or device is None
            or device.kind not in _ASKING
            or self._directory.gateway_of(device.sn) == identity.sn
        ):
            return
        reason = Reason.HAS_OTHER_SN.value
        is_new = self._services.audit.record(
            actor=identity.account,
            action="pin",
            target=identity.account,
            outcome="refused",
            detail={"dock": shown(device.sn), "reason": reason},
        )
        if is_new:
            # on no topic: an account may not make events appear under another dock's SN
            self._services.events.emit(None, "refused", account=identity.account, reason=reason, dock=shown(device.sn))

    # -- identities ----------------------------------------------------------------------------------------

    def current(self, identity: Identity) -> bool:
        """Whether the account still is what it was at the login; a pin since then changes nothing."""
        return is_current(self._services, identity)

    async def pin(self, identity: Identity, sn: str) -> Identity | Denied:
        """Tie the account to the first SN it uses, on the disk before this returns."""
        return await self._pins.pin(identity, sn)


def _put_lock(db: Connection, lock: Lock, now: int) -> None:
    lockouts.trim(db, now)  # what is over would pile up otherwise
    row = lockouts.Lock(lock.account, lock.address, lock.failures, lock.locked_until, lock.last_at)
    lockouts.put(db, row)


def _is_quick(password: str, password_hash: str) -> bool:
    """Whether ``passwords.verify`` takes microseconds: a fast hash, or a password that no hash can be of."""
    return passwords.is_cheap(password_hash) or len(password) > passwords.MAX_CHARACTERS


def _names(certificate: PeerCertificate, account: Account) -> bool:
    return account.name in certificate.names or (account.sn is not None and account.sn in certificate.names)


def _identity(account: Account) -> Identity:
    return Identity(
        account=account.name,
        role=account.role,
        sn=account.sn,
        organization_id=account.organization_id,
        can_read_sys=account.can_read_sys,
        version=account.version,
    )
