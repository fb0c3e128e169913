"""What docks were refused in this hour, from the moment on at which it happens: events come in, how often and when last goes out.

The audit tells of what repeats itself when a minute is over; who looks should not wait for that. What is kept is bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

from gateway.operations import story

_Key = tuple[str, str, str]

MOST = 2000
"""Of accounts and docks that are known; the least recent goes first."""
MOST_OTHERS = 200
_TIMES = 64
_ACTIONS = {"config": "config", "airport_organization_get": "organization_get"}


class Refusals:
    """``note`` is for ``EventSink.listen``. ``is_account``: is that the name of one."""

    def __init__(self, is_account: Callable[[str], bool]) -> None:
        self._is_account = is_account
        self._known: OrderedDict[_Key, deque[int]] = OrderedDict()
        # apart: names that strangers make up must not push out what is known
        self._others: OrderedDict[_Key, deque[int]] = OrderedDict()

    def note(self, sn: str | None, event: Mapping[str, Any]) -> None:
        told = self._told(sn, event)
        if told is None:
            return
        key, is_known = told
        kept, most = (self._known, MOST) if is_known else (self._others, MOST_OTHERS)
        times = kept.setdefault(key, deque(maxlen=_TIMES))
        times.append(event["at"])
        kept.move_to_end(key)
        if len(kept) > most:
            kept.popitem(last=False)

    def _told(self, sn: str | None, event: Mapping[str, Any]) -> tuple[_Key, bool] | None:
        reason = str(event.get("reason", ""))
        if event["event"] == "bind_refused":
            return story.key_of("bind", str(event["device_sn"])[:64], reason, "", is_known=True), True
        if event["event"] != "refused":
            return None
        address = str(event.get("address", ""))
        if "listener" in event:
            return story.key_of("tls", address, reason, address, is_known=False), False
        if "account" in event:
            account, is_known = str(event["account"]), self._is_account(str(event["account"]))
            what = "pin" if "dock" in event else "login"
            return story.key_of(what, account, reason, address, is_known=is_known), is_known
        action = _ACTIONS.get(str(event.get("method")))
        return None if action is None or sn is None else (story.key_of(action, sn, reason, "", is_known=True), True)

    def later(self, refusal: story.Refusal, now: int) -> story.Refusal:
        """As it is written, and what has come since."""
        times = self._known.get(refusal.key) or self._others.get(refusal.key)
        if not times:
            return refusal
        of_the_hour = sum(at > now - story.REFUSALS_MS for at in times)
        return refusal._replace(at=max(refusal.at, times[-1]), times=max(refusal.times, of_the_hour))
