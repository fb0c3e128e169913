"""Cases of requests that are not answered here, of envelopes, and of what is no request."""

from __future__ import annotations

from typing import Any

from gateway.topics import Kind

from .dock_case import (
    CONFIG,
    UNDERSTOOD,
    Case,
    Step,
    bird,
    flat,
    refused,
    topo,
)
from .dock_world import (
    BIRD1,
    DOCK1,
    DOCK_A,
    ORG_A,
    license_of,
    message,
)

# -- what the gateway has no answer to ----------------------------------------------------------------

_OTHER = (
    Case(
        "16-C22-no-flight-areas",
        (Step(message("flight_areas_get", None), {"result": 0, "output": {"files": []}}),),
    ),
    Case(
        "16-C22-no-offline-maps",
        (Step(message("offline_map_get", None), {"result": 0, "output": {"offline_map_enable": False, "files": []}}),),
    ),
    Case(
        "16-C22-flight-areas-left-to-a-platform-that-is-not-there",
        (
            Step(message("flight_areas_get", None), refused(200001)),
            Step(message("offline_map_get", None), refused(200001)),
        ),
        settings={"neutral_answers": False},
    ),
    *(
        Case(f"C23-{method}-without-platform", (Step(message(method, {}), refused(200001)),))
        for method in ("storage_config_get", "flighttask_resource_get", "flighttask_progress_get", "no_such_method", "")
    ),
    Case("C23-request-with-a-number-for-method", (Step(message(7, {}), refused(200001)),)),
    Case("C23-request-without-method", (Step(message(..., {}), refused(200001)),)),
    Case("update-topo-on-the-wrong-topic", (Step(topo(bird(BIRD1)), refused(200001)),), unknown=(BIRD1,)),
)

# -- envelopes ----------------------------------------------------------------------------------------

_ENVELOPE = (
    Case("17-C21-missing-bid", (Step(message("config", {}, bid=...), flat()),)),
    Case("17-C21-numeric-tid", (Step(message("config", {}, tid=42), flat()),)),
    Case("17-C21-missing-tid", (Step(message("config", {}, tid=...), flat()),)),
    Case("17-C21-null-tid-and-bid", (Step(message("config", {}, tid=None, bid=None), flat()),)),
    Case("17-C30-strange-tid-and-bid", (Step(message("config", {}, tid={"a": [1.50]}, bid="flight 7"), flat()),)),
    Case("17-18-C51-C56-missing-timestamp", (Step(message("config", {}, timestamp=...), flat()),)),
    Case(
        "17-C51-misspelt-timestamp-in-seconds",
        (Step(message("config", {}, timestamp=..., **{"timestamp:": 1767225600}), flat()),),
    ),
    Case(
        "gateway-of-another-dock-is-echoed-and-ignored",
        (Step(message("config", {}, gateway=DOCK_A), flat()),),
        licenses=(license_of(None), license_of(ORG_A)),
    ),
    *(
        Case(f"17-unreadable-{name}-on-{kind.value}", (Step(payload, None, kind=kind),))
        for kind in (Kind.REQUESTS, Kind.STATUS)
        for name, payload in (
            ("empty", b""),
            ("text", b"hello"),
            ("half", CONFIG[:-1]),
            ("list", b"[]"),
            ("deep", b'{"data":' + b"[" * 100 + b"]" * 100 + b"}"),
            ("large", b'{"data":"' + b"x" * (1024 * 1024) + b'"}'),
        )
    ),
)

# -- events, states and telemetry ---------------------------------------------------------------------


def report(**other: Any) -> bytes:
    return message("some_event", {"x": 1}, tid="e-1", gateway=DOCK1, **other)


_REPORTS = (
    *(
        Case(
            f"C28-{kind.value}-that-ask-for-a-reply", (Step(report(need_reply=1), UNDERSTOOD, kind=kind, routed=True),)
        )
        for kind in (Kind.EVENTS, Kind.STATE)
    ),
    *(
        Case(f"C31-{kind.value}-{name}", (Step(report(need_reply=value), None, kind=kind, routed=True),))
        for kind in (Kind.EVENTS, Kind.STATE)
        for name, value in (("without-need-reply", ...), ("with-need-reply-0", 0))
    ),
    Case(
        "C26-C27-state-of-an-aircraft-repeated",
        (Step(report(need_reply=1), UNDERSTOOD, kind=Kind.STATE, sn=BIRD1, routed=True),) * 2,
    ),
    Case(
        "C29-C30-event-with-a-list-and-a-flight-id",
        (
            Step(
                message("airsense_warning", [{"icao": "a"}], bid="flight", need_reply=1),
                UNDERSTOOD,
                kind=Kind.EVENTS,
                routed=True,
            ),
        ),
    ),
    Case(
        "acknowledgements-switched-off",
        (
            Step(report(need_reply=1), None, kind=Kind.EVENTS, routed=True),
            Step(report(need_reply=1), None, kind=Kind.STATE, routed=True),
        ),
        settings={"acknowledge": False},
    ),
    *(
        Case(f"4-C3-{kind.value}-{name}-is-not-read", (Step(payload, None, kind=kind, routed=True),))
        for kind in (Kind.OSD, Kind.STATE, Kind.EVENTS)
        for name, payload in (
            ("with-new-keys-and-100-kB", b'{"data":{"dongle_infos":[],"x":"' + b"y" * 100_000 + b'"}}'),
            ("that-is-no-JSON", b"not JSON"),
        )
    ),
    Case("need-reply-in-osd-is-nothing", (Step(report(need_reply=1), None, kind=Kind.OSD, routed=True),)),
)

OTHER = (*_OTHER, *_ENVELOPE, *_REPORTS)
