"""The table of what somebody with a dock's login can try on others; each row does it, and says how it is refused.

What all rows have in common, that no victim hears or loses anything, is looked at by ``attack_stage.py``.
"""

from __future__ import annotations

from dataclasses import replace

from .attack_doors import DOORS
from .attack_kinds import Attack
from .attacks_http import http
from .attacks_requests import requests
from .attacks_sessions import sessions, too_much
from .attacks_topics import last_words, reading, writing

# One or more of each kind, which are tried at every door: the rest of the way is the same behind all of them.
EVERYWHERE = frozenset(
    {
        "read: all topics of a dock of another organization",
        "read: everything",
        "read: the victims' share",
        "read: what is retained",
        "read: hidden among what it may",
        "write: as a dock of another organization",
        "write: to a dock of another organization",
        "write: by a topic alias that changes sides",
        "write: what the gateway tells",
        "retained: taking the victims' away",
        "will: on others' topics",
        "will: on others' topics, retained",
        "will: on others' topics, later",
        "will: a wildcard",
        "session: the client id of a dock that is away, to go on with it",
        "session: the client id of a service, afresh",
        "session: the victim's name with its own password",
        "session: a second CONNECT as the victim",
        "packets: an end to deliveries of others",
        "packets: a length that is none",
        "packets: ten thousand messages at once",
        "packets: half of one, and gone",
        "request: the license, naming another gateway",
        "request: binding the victim here",
        "request: topology in the victim's name",
        "request: a reply that somebody else waits for",
    }
)


def _where(row: Attack) -> Attack:
    return replace(row, doors=DOORS) if row.name in EVERYWHERE else row


TABLE = tuple(
    _where(row) for row in (*reading(), *writing(), *last_words(), *sessions(), *requests(), *too_much(), *http())
)
