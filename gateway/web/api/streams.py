"""What happens, as it happens: server-sent events, until the reader leaves, his credentials end, or the gateway stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from starlette.responses import Response, StreamingResponse

from gateway.web import wishes
from gateway.web.access import still
from gateway.web.declarations import Call, Endpoints
from gateway.web.streams import Channel

endpoints = Endpoints("streams")


@endpoints.add(
    "GET",
    "/events",
    "What happens to docks, as on dockgate/events/{sn}",
    takes=wishes.OfStream,
    gives=str,
    streams=True,
    errors=(503,),
)
async def events(call: Call, wish: wishes.OfStream) -> Response:
    return _stream(call, call.context.events, wish)


@endpoints.add(
    "GET",
    "/requests/live",
    "Each request of a dock with method, result and milliseconds",
    takes=wishes.OfStream,
    gives=str,
    streams=True,
    errors=(503,),
)
async def requests(call: Call, wish: wishes.OfStream) -> Response:
    return _stream(call, call.context.requests.channel, wish)


@endpoints.add(
    "GET",
    "/audit/live",
    "Each entry of the audit trail once it is written; Last-Event-ID goes on after that one",
    takes=wishes.OfTail,
    gives=str,
    streams=True,
    errors=(503,),
)
async def audit(call: Call, wish: wishes.OfTail) -> Response:
    if call.request.method == "HEAD":
        return Response(media_type="text/event-stream")
    after = call.request.headers.get("last-event-id")
    return _answer(
        call.context.audit.read(dock=wish.dock, lines=wish.lines, after=after, may_go_on=partial(_may_go_on, call))
    )


def _stream(call: Call, channel: Channel, wish: wishes.OfStream) -> Response:
    if call.request.method == "HEAD":
        return Response(media_type="text/event-stream")
    after = call.request.headers.get("last-event-id")
    return _answer(channel.read(sn=wish.sn, after=after, may_go_on=partial(_may_go_on, call)))


async def _may_go_on(call: Call) -> bool:
    return await still(call.context, call.caller)


def _answer(stream: AsyncIterator[bytes]) -> Response:
    # a proxy that collects answers before it passes them on would make them late
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
