"""The table of what somebody with a dock's login can try on others; each row does it, and says how it is refused.

What all rows have in common, that no victim hears or loses anything, is looked at by ``attack_stage.py``.
"""

from __future__ import annotations

from .attacks_requests import requests
from .attacks_sessions import sessions, too_much
from .attacks_topics import last_words, reading, writing

TABLE = (*reading(), *writing(), *last_words(), *sessions(), *requests(), *too_much())
