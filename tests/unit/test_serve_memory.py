"""What the process has freed goes back to the system; only glibc has to be told so."""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
from pathlib import Path

import pytest

from gateway.serve import _give_memory_back

_PIECES, _BYTES = 100_000, 1_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: it has no malloc_trim(3)")
def test_what_was_freed_between_what_is_used_goes_back() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype = library.memset.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    pieces = [library.malloc(_BYTES) for _ in range(_PIECES)]
    for piece in pieces:
        library.memset(piece, 1, _BYTES)
    for piece in pieces[:-1]:  # the last one keeps the end of the heap in use
        library.free(piece)
    held = resident()

    async def look() -> None:
        task = asyncio.get_running_loop().create_task(_give_memory_back(0.01))
        async with asyncio.timeout(10):
            while resident() > held - _PIECES * _BYTES // 2:  # noqa: ASYNC110 - the kernel's count has no event
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(look())
    library.free(pieces[-1])
