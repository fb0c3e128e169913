"""A dock's message comes in, its reply goes out: envelope, handler, time limit, repetition, errors turned into result codes.

It must never raise into the broker, leave a request that can be read without an answer, or do one twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

from gateway import envelope, logs, results
from gateway.asked import Asked, echo_of, label_of, method_of
from gateway.clock import steady_of
from gateway.envelope import Envelope
from gateway.errors import DatabaseError, EnvelopeError, MethodError
from gateway.forwarded import Added, Forwarded
from gateway.methods import METHODS, NEUTRAL_METHODS, STATUS_METHODS, Handler
from gateway.methods.platform import no_platform, refusal
from gateway.model import Answered, Identity, Outcome, OutgoingMessage, Reply, Request, Role
from gateway.recent import Key, Recent, digest_of, key_of
from gateway.results import Result
from gateway.services import Services
from gateway.tasks import Done, Rest, begin, finish
from gateway.topics import Kind, parse_device_topic, reply_topic
from gateway.topology import Learner

_log = logging.getLogger(__name__)

# Refusals that are remembered in case a service answers after all.
_GIVEN_UP = 10_000

PlatformListens = Callable[[str], bool]
ReplyLater = Callable[[OutgoingMessage], None]
Listener = Callable[[Answered], None]

_SWALLOWED = Outcome(route=False)
_PASSED_ON = Outcome(route=True)
_ACKNOWLEDGED = {"result": 0}

# Handlers of one dock that still run though their time is over, as when the database is stuck. More fail at once.
MAX_UNFINISHED = 16
# A reply of this size to a request that waits for a platform means a tid of this size, and memory that is held for it.
MAX_WAITING_BYTES = 4096


class _Answer(NamedTuple):
    """``final``: decided, and answered the same when repeated; else it failed here and may be tried again."""

    reply: Reply
    final: bool


class Dispatcher:
    """Lives on the event loop. ``intercept``, ``observe`` and ``platform_answered`` never wait."""

    def __init__(self, services: Services, *, methods: Mapping[str, Handler] = METHODS) -> None:
        self._services = services
        self._methods = methods
        self._settings = services.settings
        self._metrics = services.metrics.requests
        self._steady = steady_of(services.clock)
        self._recent = Recent(self._steady)
        self._running: dict[Key, asyncio.Task[_Answer]] = {}
        self._unfinished: Counter[str] = Counter()
        self._forwarded = Forwarded(timeout_s=services.settings.handler_timeout_s)
        self._learner = Learner(services)
        self._seldom = logs.RateLimited(_log, clock=lambda: self._steady() / 1000)
        self._listeners: list[Listener] = []
        self._given_up: OrderedDict[bytes, None] = (
            OrderedDict()
        )  # requests that were refused for want of a service's answer

    # -- what the broker calls

    def intercept(
        self,
        identity: Identity,
        topic: str,
        payload: bytes,
        *,
        platform_listens: PlatformListens,
        reply_later: ReplyLater,
    ) -> Outcome | None:
        """What becomes of a publish that the topic rules have allowed; None: it is no business of ours, route it.

        ``platform_listens(topic)``: would a service get it. ``reply_later`` sends to the asking session if that
        still lives; it is called at most once, with the refusal of a request that no service answered in time.
        """
        if identity.role is not Role.DOCK:
            return None
        device = parse_device_topic(topic)
        if device is None:
            return None
        kind = device.kind
        if kind is Kind.EVENTS or kind is Kind.STATE:
            return self._acknowledge(kind, topic, payload)
        # The topic rules allow a dock no other SN here. Asked again, because an answer can hold a license.
        if (kind is not Kind.REQUESTS and kind is not Kind.STATUS) or device.sn != identity.sn:
            return None
        try:
            parsed = envelope.parse(payload)
        except EnvelopeError as error:
            self._unreadable(device.sn, topic, error)
            return _SWALLOWED
        method = method_of(kind, parsed)
        handler = self._handler(kind, method)
        if handler is None:
            may_leave = kind is Kind.REQUESTS and self._settings.unanswered == "platform" and platform_listens(topic)
            key = key_of(device.sn, identity, method, parsed.tid, parsed.data)
            return self._leave(device.sn, topic, parsed, payload, key, reply_later, may_leave=may_leave)
        request = Request(device.sn, identity, method or "", parsed.data, parsed.raw, self._services.clock())
        # A topology is taken over again whenever it is told: a dock may come back with the same words after a restart.
        key = None if kind is Kind.STATUS else key_of(device.sn, identity, method, parsed.tid, parsed.data)
        asked = Asked(request, topic, parsed, payload, key, handler)
        # Requests of one dock are worked on in the order in which they came. Most end here, without any wait.
        answer = self._work(asked) if device.sn in self._unfinished else self._begin(asked)
        # A platform wants to know the topology too, and there is no license in it; a request answered here stays here.
        if isinstance(answer, Outcome):
            return answer._replace(route=True) if kind is Kind.STATUS else answer
        return Outcome(route=kind is Kind.STATUS, work=answer)

    def observe(self, identity: Identity, topic: str, payload: bytes) -> None:
        """Learn from a dock's telemetry which aircraft it has; costs next to nothing when it tells nothing new."""
        self._learner.observe(identity, topic, payload)

    def platform_answered(self, topic: str, payload: bytes) -> bool:
        """A service has sent something to a dock; if it is a reply to a waiting request, that is settled. True: keep it from
        the dock, which has had a refusal already and must not get two answers to one request.
        """
        device = parse_device_topic(topic)
        if device is None or device.kind is not Kind.REQUESTS_REPLY:
            return False
        try:
            parsed = envelope.parse(payload)
        except EnvelopeError:
            return False
        if self._forwarded.answered(device.sn, parsed.method, parsed.tid):
            return False
        # Two services that answered the same requests were seen on a real broker (docs/protocol.md 3.1, C49).
        self._metrics.foreign += 1
        self._seldom.warning(
            ("foreign", device.sn),
            "a service replied to a request that waits for no reply: a second answer, or too late",
            **_fields(device.sn, parsed.method, parsed.tid),
        )
        return digest_of((device.sn, parsed.tid)) in self._given_up

    def _refused_late(self, gateway_sn: str, tid: object) -> None:
        self._given_up[digest_of((gateway_sn, tid))] = None
        if len(self._given_up) > _GIVEN_UP:
            self._given_up.popitem(last=False)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """``listener`` is told of each request from then on; it must be quick and not raise. Returns what ends that."""
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def forget(self, gateway_sn: str) -> None:
        """An operator has changed the dock's binding: what it was answered before is not the answer to a repetition now."""
        self._recent.forget_dock(gateway_sn)

    def close(self) -> None:
        """Nothing that waits for a service is refused from now on; idempotent."""
        self._forwarded.close()
        self._seldom.flush()

    # -- events and states

    def _acknowledge(self, kind: Kind, topic: str, payload: bytes) -> Outcome | None:
        """By the field in the message, not by a list of methods: documents and devices differ (docs/protocol.md 4.3)."""
        if not self._settings.acknowledge:
            return None
        parsed = envelope.wants_reply(payload)
        if parsed is None:
            return None
        self._metrics.acknowledged.add(kind.value)
        return Outcome(route=True, replies=(self._message(topic, parsed, _ACKNOWLEDGED),))

    # -- requests that are answered here

    def _handler(self, kind: Kind, method: str | None) -> Handler | None:
        if method is None or (method in NEUTRAL_METHODS and not self._settings.neutral_answers):
            return None
        return (STATUS_METHODS if kind is Kind.STATUS else self._methods).get(method)

    def _begin(self, asked: Asked) -> Outcome | Coroutine[Any, Any, Outcome]:
        """The answer if there is one at once, else what has to be awaited for it."""
        request, key = asked.request, asked.key
        started = perf_counter()  # uvloop's own clock stands still within a turn
        known = None if key is None else self._recent.get(key)
        if known is not None:
            self._metrics.repeated += 1
            return self._answered(asked, known, started)
        task = None if key is None else self._running.get(key)
        if task is not None:
            self._metrics.repeated += 1
        elif self._unfinished.get(request.gateway_sn, 0) >= MAX_UNFINISHED:
            self._complain(logging.ERROR, request, "too many requests of this dock are unfinished", "unfinished")
            return self._answered(asked, self._failure(request), started)
        else:
            begun = begin(self._handle(request, asked.handler))
            if isinstance(begun, Done):
                outcome = self._answered(asked, begun.value.reply, started)
                if key is not None and begun.value.final:
                    self._recent.put(key, begun.value.reply, _weight(outcome))
                return outcome
            task = self._start(request, key, begun)
        return self._wait_for(task, asked, started)

    async def _work(self, asked: Asked) -> Outcome:
        """``_begin``, in its turn."""
        begun = self._begin(asked)
        return begun if isinstance(begun, Outcome) else await begun

    async def _wait_for(self, task: asyncio.Task[_Answer], asked: Asked, started: float) -> Outcome:
        # The handler is not cancelled: what it has handed to the database may be committed at any moment, and then has
        # to reach the memory too. Its answer is kept for the dock's next try.
        self._metrics.in_flight += 1
        try:
            done, _ = await asyncio.wait({task}, timeout=self._settings.handler_timeout_s)
        finally:
            self._metrics.in_flight -= 1
        if not done:
            self._metrics.timed_out += 1
            self._complain(logging.ERROR, asked.request, "request not answered within the time limit", "timed_out")
        reply = self._failure(asked.request) if not done or task.cancelled() else task.result().reply
        return self._answered(asked, reply, started)

    def _answered(self, asked: Asked, reply: Reply, started: float) -> Outcome:
        seconds = perf_counter() - started
        self._metrics.seconds.observe(label_of(asked.request.method), seconds=seconds)
        return self._reply(
            asked.topic, asked.parsed, asked.request.method, reply, payload=asked.payload, seconds=seconds
        )

    def _start(self, request: Request, key: Key | None, rest: Rest[_Answer]) -> asyncio.Task[_Answer]:
        task = self._services.tasks.spawn(finish(rest), name=f"request {request.method}")
        self._unfinished[request.gateway_sn] += 1
        if key is not None:
            self._running[key] = task

        def ended(task: asyncio.Task[_Answer]) -> None:
            self._unfinished[request.gateway_sn] -= 1
            if not self._unfinished[request.gateway_sn]:
                del self._unfinished[request.gateway_sn]
            if key is not None:
                del self._running[key]
                if not task.cancelled() and task.result().final:
                    reply = task.result().reply
                    self._recent.put(key, reply, len(repr(reply.data)))

        task.add_done_callback(ended)
        return task

    async def _handle(self, request: Request, handler: Handler) -> _Answer:
        """The catch-all."""
        try:
            return _Answer(await handler(request, self._services), final=True)
        except MethodError as error:
            # A missing license is no fault of the dock: an operator has to notice it, and the dock's next try must get it.
            final = error.result_name != Result.LICENSE_MISSING
            self._complain(logging.WARNING if final else logging.ERROR, request, str(error), error.result_name)
            return _Answer(refusal(error.result_name, self._settings.result_codes), final=final)
        except DatabaseError as error:
            self._services.metrics.database.failures.add(error.code)
            self._complain(logging.ERROR, request, f"request failed: {error}", error.code)
        except Exception as error:  # noqa: BLE001  a dock must be answered whatever happened
            self._complain(logging.ERROR, request, "request failed", type(error).__name__, cause=error)
        self._metrics.failed += 1
        return _Answer(self._failure(request), final=False)

    def _failure(self, request: Request) -> Reply:
        return refusal(results.failure_of(request.method), self._settings.result_codes)

    # -- requests that are not answered here

    def _leave(
        self,
        gateway_sn: str,
        topic: str,
        parsed: Envelope,
        payload: bytes,
        key: Key | None,
        reply_later: ReplyLater,
        *,
        may_leave: bool,
    ) -> Outcome:
        known = None if key is None else self._recent.get(key)
        if known is not None:
            self._metrics.repeated += 1
            return self._reply(topic, parsed, parsed.method, known, payload=payload)
        refused = refusal(Result.NOT_ANSWERED, self._settings.result_codes)
        brief = echo_of(parsed)
        asked_at = perf_counter()
        if may_leave and len(self._message(topic, brief, refused.data).payload) <= MAX_WAITING_BYTES:

            def refuse() -> None:
                if key is not None:
                    self._recent.put(key, refused, _weight(None))
                self._refused_late(gateway_sn, brief.tid)
                self._seldom.warning(
                    ("not_answered", gateway_sn, label_of(brief.method)),
                    "no service answered a request in time: refused",
                    **_fields(gateway_sn, brief.method, brief.tid),
                )
                outcome = self._reply(topic, brief, brief.method, refused, seconds=perf_counter() - asked_at)
                for message in outcome.replies:
                    reply_later(message)

            added = self._forwarded.add(gateway_sn, parsed.method, parsed.tid, parsed.data, refuse)
            if added is Added.NEW:
                self._metrics.left.add(label_of(parsed.method))
                self._tell(topic, parsed.method, payload, None, None, 0.0)
                return _PASSED_ON
            if added is Added.WAITING:
                self._metrics.repeated += 1
                return _SWALLOWED
        refused = no_platform(parsed.method, self._settings.result_codes)
        return self._reply(topic, parsed, parsed.method, refused, payload=payload)

    # -- replies and lines

    def _reply(
        self,
        topic: str,
        parsed: Envelope,
        method: str | None,
        reply: Reply,
        *,
        payload: bytes | None = None,
        seconds: float = 0.0,
    ) -> Outcome:
        self._metrics.answered.add(label_of(method), str(reply.result))
        message = self._message(topic, parsed, reply.data)
        self._tell(topic, method, payload, reply, message.payload, seconds)
        return Outcome(False, (message,))  # noqa: FBT003 - the order of the tuple

    def _tell(
        self,
        topic: str,
        method: str | None,
        request: bytes | None,
        reply: Reply | None,
        answer: bytes | None,
        seconds: float,
    ) -> None:
        device = parse_device_topic(topic) if self._listeners else None
        if device is None:
            return
        result = None if reply is None else reply.result
        answered = Answered(self._services.clock(), device.sn, method, result, seconds, request, answer)
        for listener in self._listeners:
            listener(answered)

    def _message(self, topic: str, parsed: Envelope, data: dict[str, Any]) -> OutgoingMessage:
        return OutgoingMessage(reply_topic(topic), envelope.reply(parsed, data, now_ms=self._services.clock()))

    def _unreadable(self, gateway_sn: str, topic: str, error: EnvelopeError) -> None:
        self._metrics.unreadable.add(error.reason)
        self._seldom.warning(
            ("unreadable", gateway_sn),
            "a dock's message cannot be read and is not answered",
            **{logs.SN: gateway_sn, logs.TOPIC: topic, logs.REASON: error.reason},
        )

    def _complain(
        self, level: int, request: Request, text: str, reason: str, *, cause: Exception | None = None
    ) -> None:
        key = (request.gateway_sn, request.method, reason)
        fields = {**_fields(request.gateway_sn, request.method, request.envelope.get("tid")), logs.REASON: reason}
        if self._seldom.log(level, key, text, **fields) and cause is not None:
            _log.error("the cause of the line before", exc_info=cause, extra=fields)


def _weight(outcome: Outcome | None) -> int:
    """What a remembered reply takes, about."""
    return 64 if outcome is None else len(outcome.replies[0].payload)


def _fields(gateway_sn: str, method: str | None, tid: object) -> dict[str, Any]:
    return {logs.SN: gateway_sn, logs.METHOD: method, logs.TID: tid}
