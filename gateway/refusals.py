"""Refusals: their reasons, and the log line of a refused login that fail2ban and the like can rely on.

What a stranger sent comes in; one line goes out that cannot be forged by it, and only a few a minute for each address.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gateway.metrics import Logins

_log = logging.getLogger(__name__)

SHOWN = 64  # characters of a stranger's text in a log line or an audit entry
# Lines of one address in a minute: fail2ban acts on five by default, and a disk has room for so many.
LINES = 20
LINES_MS = 60_000
ADDRESSES = 4096


def shown(text: str) -> str:
    """One printable ASCII word without blanks: all else is escaped, at most ``SHOWN`` characters of the original."""
    safe = "".join(
        character if "!" <= character <= "~" and character != "\\" else _escaped(character)
        for character in text[:SHOWN]
    )
    return safe + "..." if len(text) > SHOWN else safe


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Reason(StrEnum):
    """Why not. The first seven refuse a login, the others a pin."""

    UNKNOWN_ACCOUNT = "unknown_account"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105  a reason
    DISABLED = "disabled"
    LOCKED_OUT = "locked_out"
    CERTIFICATE_MISMATCH = "certificate_mismatch"
    NO_CREDENTIALS = "no_credentials"
    BUSY = "busy"

    ACCOUNT_CHANGED = "account_changed"
    NOT_A_DOCK = "not_a_dock"
    BAD_SN = "bad_sn"
    HAS_OTHER_SN = "has_other_sn"
    SN_TAKEN = "sn_taken"
    SN_IS_AIRCRAFT = "sn_is_aircraft"
    SN_OF_OTHER_ORGANIZATION = "sn_of_other_organization"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Denied:
    reason: Reason


@dataclass(slots=True)
class _Minute:
    started_at: int
    told: int = 0
    held_back: int = 0


class RefusalLog:
    def __init__(self, clock: Callable[[], int], metrics: Logins) -> None:
        self._clock = clock
        self._metrics = metrics
        self._minutes: OrderedDict[str, _Minute] = OrderedDict()

    def tell(self, *, address: str, account: str, client_id: str, reason: str) -> bool:
        """False when the line was held back because ``address`` has had its share of this minute."""
        address = shown(address)
        now = self._clock()
        minute = self._minutes.get(address)
        if minute is None or now - minute.started_at >= LINES_MS:
            if minute is not None and minute.held_back:
                _log.warning("login refusals not told one by one: address=%s count=%d", address, minute.held_back)
            minute = self._minutes[address] = _Minute(now)
            self._minutes.move_to_end(address)
            if len(self._minutes) > ADDRESSES:
                self._minutes.popitem(last=False)
        if minute.told >= LINES:
            minute.held_back += 1
            self._metrics.lines_held_back += 1
            return False
        minute.told += 1
        _log.warning(
            "login refused address=%s account=%s client_id=%s reason=%s",
            address,
            shown(account) or "-",
            shown(client_id) or "-",
            reason,
        )
        return True
