"""What is said of a database that was read through: a report comes in, a record goes out."""

from __future__ import annotations

from typing import Any

from gateway.store.checks import Report


def describe(report: Report) -> dict[str, Any]:
    """The keys are a promise."""
    return {
        "ok": report.ok,
        "database": str(report.path),
        "bytes": report.bytes,
        "version": report.version,
        "newest_version": report.newest_version,
        "problems": list(report.problems),
        "foreign": list(report.foreign),
    }
