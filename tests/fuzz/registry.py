"""Every target of the fuzzer by its name: a folder of its own comes in, something that can be fed goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Protocol

from . import documents, files, web
from .inputs import Inputs
from .targets import feed_codecs, installed, opened_connections, read_codecs


class Fed(Protocol):
    def feed(self, random: Random) -> None:
        """Make one input and look at what comes of it. Raises when that is not as it has to be."""


class Reader(Fed, Protocol):
    """What takes any bytes, and so can be guided by what they reach."""

    def read(self, data: bytes) -> None: ...

    def make(self, random: Random) -> bytes: ...


class _Codecs:
    def feed(self, random: Random) -> None:
        feed_codecs(Inputs(random))

    def make(self, random: Random) -> bytes:
        return Inputs(random).stream()

    def read(self, data: bytes) -> None:
        read_codecs(data, [data[: len(data) // 2], data[len(data) // 2 :]])


@contextmanager
def _codecs(_folder: Path) -> Iterator[_Codecs]:
    yield _Codecs()


@contextmanager
def _connections(folder: Path) -> Iterator[Fed]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        opened = opened_connections(installed(folder))
        connections = runner.run(stack.enter_async_context(opened))

        class Connected:
            def feed(self, random: Random) -> None:
                runner.run(connections.feed(Inputs(random)))

        try:
            yield Connected()
        finally:
            runner.run(stack.aclose())


Open = Callable[[Path], AbstractContextManager[Fed]]

TARGETS: Mapping[str, Open] = {
    "codecs": _codecs,
    "connections": _connections,
    "envelope": documents.envelopes,
    "methods": documents.methods,
    "proxy": files.proxy_headers,
    "certificates": files.certificates,
    "configuration": files.configurations,
    "http": web.doors,
}
# Those whose inputs are bytes that depend on nothing that came before.
READERS: Mapping[str, Callable[[Path], AbstractContextManager[Reader]]] = {
    "codecs": _codecs,
    "envelope": documents.envelopes,
    "methods": documents.methods,
    "proxy": files.proxy_headers,
    "certificates": files.certificates,
    "configuration": files.configurations,
    "http": web.doors,
}
