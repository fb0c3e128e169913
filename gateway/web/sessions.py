"""Operators who are logged in. A name and a password come in, a session goes out, known by its cookie; sessions are in memory only.

A wrong name costs what a wrong password costs, hashing is off the event loop and not in the docks' line, and a session ends with
the password it began with.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING

from gateway import credentials, passwords
from gateway.clock import steady_of
from gateway.credentials import HashLine
from gateway.lockout import Lockout, place_of
from gateway.metrics import Logins
from gateway.refusals import RefusalLog, shown
from gateway.store import operators
from gateway.store.operators import Operator
from gateway.web.errors import BusyError, LockedOutError, LoginFailedError

if TYPE_CHECKING:
    from gateway.config import AdminSettings, LoginSettings
    from gateway.services import Services

_TOKEN_BYTES = 32
_CLIENT_ID = "http"
MOST = 1000
_MOST_OF_ONE = 20
# One at a time: this is a core that docks could use.
_HASH_THREADS = 1
_HASH_QUEUE = 16


@dataclass(slots=True)
class Session:
    """``csrf`` has to come with each request that changes something. Times in ms, steady but for ``ends_at``."""

    operator: str
    csrf: str = field(repr=False)
    password_hash: str = field(repr=False)
    created_at: int
    seen_at: int
    ends_at: int


class Sessions:
    def __init__(self, services: Services, admin: AdminSettings, login: LoginSettings, pool: Executor) -> None:
        self._services = services
        self._clock: Callable[[], int] = services.clock
        self._steady = steady_of(services.clock)
        self._last_ms = admin.session_s * 1000
        self._idle_ms = admin.session_idle_s * 1000
        self._lock_s = login.lockout_s
        self._lockout = Lockout(
            services.clock,
            failures=login.lockout_failures,
            address_failures=login.address_failures,
            window_s=login.lockout_window_s,
            lock_s=login.lockout_s,
        )
        self._line = HashLine(Logins(), threads=_HASH_THREADS, queue=_HASH_QUEUE, pool=pool)
        self._refusals = RefusalLog(self._steady, Logins())
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # by digest of the cookie, oldest first

    def close(self) -> None:
        """Idempotent."""
        self._line.close()
        self._sessions.clear()

    async def login(self, name: str, password: str, *, address: str) -> tuple[str, Session]:
        """The cookie's value, and the session. Raises LoginFailedError, LockedOutError, BusyError, or of the database."""
        place = place_of(address)
        operator = await self._services.store.read(operators.find, name) if name and password else None
        locked_as = _locked_as(name, operator)
        self._require_unlocked(name, locked_as, address)
        try:
            async with self._line.turn():
                self._require_unlocked(name, locked_as, address)  # others may have failed while this one waited
                if operator is None:
                    await self._line.run(passwords.burn)
                    is_right = False
                else:
                    is_right = await self._line.run(passwords.verify, password, operator.password_hash)
        except credentials.BusyError:
            self._refused(name, address, "busy")
            raise BusyError("too many logins at a time") from None
        if operator is None or not is_right:
            for lock in self._lockout.fail(locked_as, place):
                self._services.metrics.logins.locked.add("address" if not lock.account else "operator")
            self._refused(name, address, "wrong_password" if operator else "unknown_operator")
            raise LoginFailedError
        self._lockout.succeed(locked_as, place)
        self._services.audit.record(
            actor=f"operator:{operator.name}",
            action="operator.login",
            target=operator.name,
            outcome="ok",
            detail={"address": shown(address)},
        )
        return self._begin(operator)

    def _require_unlocked(self, name: str, locked_as: str, address: str) -> None:
        place = place_of(address)
        if self._lockout.is_pair_locked(locked_as, place) or self._lockout.is_address_locked(place):
            self._refused(name, address, "locked_out")
            raise LockedOutError("too many wrong passwords: locked for a while", retry_s=self._lock_s)

    def find(self, cookie: str) -> Session | None:
        """The session with this cookie; whether its operator is still who he was is ``is_current``'s to say."""
        session = self._sessions.get(_digest(cookie))
        if session is None:
            return None
        if not self._is_young(session):
            self.end(cookie)
            return None
        session.seen_at = self._steady()
        return session

    def is_current(self, session: Session, operator: Operator | None) -> bool:
        """``operator`` as the database has him now."""
        return (
            operator is not None
            and compare_digest(operator.password_hash, session.password_hash)
            and self._is_young(session)
        )

    def end(self, cookie: str) -> None:
        self._sessions.pop(_digest(cookie), None)

    def __len__(self) -> int:
        return len(self._sessions)

    def _begin(self, operator: Operator) -> tuple[str, Session]:
        self._drop_old()
        now = self._steady()
        cookie = secrets.token_urlsafe(_TOKEN_BYTES)
        session = self._sessions[_digest(cookie)] = Session(
            operator=operator.name,
            csrf=secrets.token_urlsafe(_TOKEN_BYTES),
            password_hash=operator.password_hash,
            created_at=now,
            seen_at=now,
            ends_at=self._clock() + self._last_ms,
        )
        own = [key for key, each in self._sessions.items() if each.operator == operator.name]
        for key in own[:-_MOST_OF_ONE]:
            del self._sessions[key]
        if len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return cookie, session

    def _is_young(self, session: Session) -> bool:
        now = self._steady()
        return now - session.created_at < self._last_ms and now - session.seen_at < self._idle_ms

    def _drop_old(self) -> None:
        for key in [key for key, session in self._sessions.items() if not self._is_young(session)]:
            del self._sessions[key]

    def _refused(self, name: str, address: str, reason: str) -> None:
        # the line that fail2ban and the like know from logins of accounts
        self._refusals.tell(address=address, account=name, client_id=_CLIENT_ID, reason=reason)
        self._services.audit.record(
            actor=shown(address),
            action="operator.login",
            target=shown(name) or "-",
            outcome="refused",
            detail={"reason": reason, "address": shown(address)},
        )


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


def _locked_as(name: str, operator: Operator | None) -> str:
    """A new password is a new door: what was tried on the old one does not count."""
    if operator is None:
        return shown(name)
    return f"{name} {hashlib.blake2b(operator.password_hash.encode(), digest_size=8).hexdigest()}"
