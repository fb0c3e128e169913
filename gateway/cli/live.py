"""Is the gateway running: see ``gateway.operations.live``; here under the name that commands know it by."""

from __future__ import annotations

from gateway.operations.live import STALE_MS, Live, look

__all__ = ["STALE_MS", "Live", "look"]
