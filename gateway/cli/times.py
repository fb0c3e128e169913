"""Times as people type and read them: see ``gateway.operations.times``; here under the names that commands know them by."""

from __future__ import annotations

from gateway.operations.times import iso, now_ms, since, until
from gateway.operations.times import shown as local
from gateway.operations.times import shown_shortly as minute

__all__ = ["iso", "local", "minute", "now_ms", "since", "until"]
