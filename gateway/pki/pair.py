"""A server certificate and its key change together: two files come in, and after a kill at any moment ``settle`` makes a pair of
what lies there. Nothing is thrown away that fits.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.errors import DockgateError, UnwritableError
from gateway.pki import files
from gateway.pki import inspection as reading
from gateway.pki.files import Layout


def _next(layout: Layout) -> Path:
    return layout.directory / ".server.pem.next"


def place(layout: Layout, key: bytes, chain: bytes) -> None:
    """Both in PEM. The caller holds ``files.exclusive``. A reader between the two steps keeps the pair that it has."""
    files.write_public(_next(layout), chain, replace=True)
    files.write_private(layout.server_key, key, replace=True)
    _finish(layout)


def settle(directory: Path) -> bool:
    """Finish or forget a change that was interrupted; whether it was finished. Waits for one that is under way."""
    layout = Layout(directory)
    if not _next(layout).exists():
        return False
    with files.exclusive(layout):
        return settle_held(layout)


def settle_held(layout: Layout) -> bool:
    """``settle`` for who holds ``files.exclusive``."""
    waiting = _next(layout)
    if not waiting.exists():
        return False
    if _is_for_the_key(layout, waiting):
        _finish(layout)
        return True
    try:
        waiting.unlink(missing_ok=True)  # the key had not been changed: nothing has happened
    except OSError as error:
        raise UnwritableError(f"{waiting}: cannot be removed: {error.strerror}") from error
    return False


def _is_for_the_key(layout: Layout, chain: Path) -> bool:
    try:
        return reading.same_key(reading.load_chain(chain)[0], reading.load_key(layout.server_key))
    except DockgateError:
        return False


def _finish(layout: Layout) -> None:
    try:
        _next(layout).replace(layout.server)
        descriptor = os.open(layout.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnwritableError(f"{layout.server}: cannot be written: {error.strerror}") from error
