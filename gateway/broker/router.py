"""Who gets a message: filters in, the sessions that match a topic out. Exact filters cost one look-up; wildcards walk a trie whose
depth is the topic's, so a message costs the same however many docks are connected.

It holds no message and decides no right: what a session may receive is asked of the topic rules for each delivery.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from gateway.topics import levels, split_share

from .codec.packets import Subscription

S = TypeVar("S", bound=Hashable)


class _Node(Generic[S]):
    __slots__ = ("children", "here", "under")

    def __init__(self) -> None:
        self.children: dict[str, _Node[S]] = {}
        self.here: dict[S, Subscription] = {}
        self.under: dict[S, Subscription] = {}  # "#" at this level

    @property
    def empty(self) -> bool:
        return not (self.children or self.here or self.under)


class _Group(Generic[S]):
    """One shared subscription: its members take turns (MQTT 5, 4.8.2)."""

    __slots__ = ("filter", "members", "turn")

    def __init__(self, topic_filter: str) -> None:
        self.filter = topic_filter
        self.members: dict[S, Subscription] = {}
        self.turn = 0

    def order(self) -> list[tuple[S, Subscription]]:
        """The members, beginning with whose turn it is; the next call begins one later."""
        members = list(self.members.items())
        turn = self.turn % len(members)
        self.turn = turn + 1
        return members[turn:] + members[:turn]


class Router(Generic[S]):
    """Subscriptions of sessions of type ``S``."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[S, Subscription]] = {}
        self._root: _Node[S] = _Node()
        self._wildcards = 0
        self._roots: Counter[str] = Counter()  # first levels of the filters, those of shared ones too
        self._groups: dict[tuple[str, str], _Group[S]] = {}
        self._shared: Router[_Group[S]] | None = None
        self.count = 0
        self.version = 0
        """Grows with every change that ``is_named`` does not tell of: of filters with wildcards, and of shared ones."""

    def subscribe(self, session: S, subscription: Subscription) -> bool:
        """Add or replace; True when the session had no subscription with this filter."""
        topic_filter = subscription.filter
        if (shared := split_share(topic_filter)) is not None:
            return self._share(session, *shared, subscription)
        holder = self._holder(topic_filter, create=True)
        assert holder is not None  # noqa: S101 - created above
        fresh = session not in holder
        holder[session] = subscription
        self.version += _is_wild(topic_filter)
        if fresh:
            self.count += 1
            self._wildcards += _is_wild(topic_filter)
            self._roots[_root_of(topic_filter)] += 1
        return fresh

    def unsubscribe(self, session: S, topic_filter: str) -> bool:
        """True when there was such a subscription."""
        if (shared := split_share(topic_filter)) is not None:
            return self._unshare(session, *shared)
        holder = self._holder(topic_filter, create=False)
        if holder is None or holder.pop(session, None) is None:
            return False
        self.count -= 1
        self.version += _is_wild(topic_filter)
        self._wildcards -= _is_wild(topic_filter)
        self._uproot(topic_filter)
        self._prune(topic_filter)
        return True

    def match(self, topic: str) -> list[tuple[S, Subscription]]:
        """Every session with a matching filter, once for each of its matching filters (shared ones: see ``match_shared``)."""
        found: list[tuple[S, Subscription]] = []
        exact = self._exact.get(topic)
        if exact:
            found.extend(exact.items())
        if self._wildcards:
            self._walk(topic, found)
        return found

    def match_shared(self, topic: str, *, look_only: bool = False) -> list[list[tuple[S, Subscription]]]:
        """For each matching shared subscription its members, in the order in which to try them.

        ``look_only``: no message is on its way, so it is nobody's turn.
        """
        if self._shared is None or not self._groups:
            return []
        groups = [group for group, _ in self._shared.match(topic)]
        return [list(group.members.items()) if look_only else group.order() for group in groups]

    def is_named(self, topic: str) -> bool:
        """Whether somebody has subscribed to exactly this topic."""
        return topic in self._exact

    def reaches(self, root: str) -> bool:
        """Whether a filter may match a topic whose first level is ``root``: for who would rather not make the message."""
        roots = self._roots
        return root in roots or "+" in roots or "#" in roots

    def _uproot(self, topic_filter: str) -> None:
        root = _root_of(topic_filter)
        self._roots[root] -= 1
        if not self._roots[root]:
            del self._roots[root]

    # -- the trie

    def _holder(self, topic_filter: str, *, create: bool) -> dict[S, Subscription] | None:
        if not _is_wild(topic_filter):
            return self._exact.setdefault(topic_filter, {}) if create else self._exact.get(topic_filter)
        node = self._root
        for level in levels(topic_filter):
            if level == "#":
                return node.under
            child = node.children.get(level)
            if child is None:
                if not create:
                    return None
                child = node.children[level] = _Node()
            node = child
        return node.here

    def _prune(self, topic_filter: str) -> None:
        if not _is_wild(topic_filter):
            if not self._exact.get(topic_filter, True):
                del self._exact[topic_filter]
            return
        path = [self._root]
        names = [level for level in levels(topic_filter) if level != "#"]
        for name in names:
            path.append(path[-1].children[name])
        for parent, name, child in reversed(list(zip(path, names, path[1:], strict=False))):
            if not child.empty:
                break
            del parent.children[name]

    def _walk(self, topic: str, found: list[tuple[S, Subscription]]) -> None:
        nodes = [self._root]
        # A leading wildcard does not match a topic that begins with "$" (4.7.2).
        hidden = topic.startswith("$")
        for level in levels(topic):
            deeper = []
            for node in nodes:
                if node.under and not hidden:
                    found.extend(node.under.items())
                if (child := node.children.get(level)) is not None:
                    deeper.append(child)
                if not hidden and (child := node.children.get("+")) is not None:
                    deeper.append(child)
            if not deeper:
                return
            nodes = deeper
            hidden = False
        for node in nodes:
            if node.here:
                found.extend(node.here.items())
            if node.under:  # "a/#" matches "a" too (4.7.1.2)
                found.extend(node.under.items())

    # -- shared subscriptions

    def _share(self, session: S, name: str, topic_filter: str, subscription: Subscription) -> bool:
        self.version += 1
        group = self._groups.get((name, topic_filter))
        if group is None:
            group = self._groups[name, topic_filter] = _Group(topic_filter)
            if self._shared is None:
                self._shared = Router()
            self._shared.subscribe(group, Subscription(topic_filter, 0))
            self._roots[_root_of(topic_filter)] += 1
        fresh = session not in group.members
        group.members[session] = subscription
        self.count += fresh
        return fresh

    def _unshare(self, session: S, name: str, topic_filter: str) -> bool:
        group = self._groups.get((name, topic_filter))
        if group is None or group.members.pop(session, None) is None:
            return False
        self.count -= 1
        self.version += 1
        if not group.members:
            del self._groups[name, topic_filter]
            self._uproot(topic_filter)
            if self._shared is not None:
                self._shared.unsubscribe(group, topic_filter)
        return True


def _root_of(topic_filter: str) -> str:
    return topic_filter.partition("/")[0]


def _is_wild(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter
