"""The operator's command line: words come in, results go to stdout, all else to stderr, and an exit code goes out.

One file per noun; ``render`` prints, ``errors`` is the only catch-all. A noun's file is imported when it is typed.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """``dockgate ARGV``; returns the exit code (see ``gateway.errors``)."""
    from gateway.cli.errors import guarded  # noqa: PLC0415 - importing gateway.cli costs nothing by itself

    return guarded(argv)
