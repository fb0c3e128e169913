"""What happens, as it happens: server-sent events, until the reader leaves, his credentials end, or the gateway stops."""

from __future__ import annotations

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


def _stream(call: Call, channel: Channel, wish: wishes.OfStream) -> Response:
    async def may_go_on() -> bool:
        return await still(call.context, call.caller)

    if call.request.method == "HEAD":
        return Response(media_type="text/event-stream")
    stream = channel.read(sn=wish.sn, after=call.request.headers.get("last-event-id"), may_go_on=may_go_on)
    # a proxy that collects answers before it passes them on would make them late
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
