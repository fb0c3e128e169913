"""The one place that starts background tasks: it keeps a reference, logs what fails, and ends them all on close."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Rest(Generic[T]):
    """What is left of a coroutine that ``begin`` has begun: await it once, in a task."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any) -> None:  # noqa: ANN401 - a future, or None
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        while True:
            thrown: BaseException | None = None
            answer = None
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation is the coroutine's to answer
                thrown = error
            try:
                waits_for = self._coroutine.send(answer) if thrown is None else self._coroutine.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result


class Done(Generic[T]):
    """The coroutine has ended."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value


def begin(coroutine: Coroutine[Any, Any, T]) -> Done[T] | Rest[T]:
    """Run ``coroutine`` up to its first wait, here and now: most requests never wait, and a task costs more than they do.

    What it raises comes out here. Until that wait it runs outside any task of its own, so it must not use
    ``asyncio.timeout`` before. (Python 3.12 has eager tasks for this.)
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as end:
        return Done(end.value)
    return Rest(coroutine, waits_for)


async def finish(rest: Rest[T]) -> T:
    """``rest`` as a coroutine, for a task."""
    return await rest


class Tasks:
    """A group whose members may fail alone: one failure is logged and leaves the others running."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background task failed", exc_info=error, extra={"task": task.get_name()})

    async def close(self) -> None:
        """Cancel what runs and wait for it; idempotent."""
        running = [task for task in self._running if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
