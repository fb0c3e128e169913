"""What docks say: the four requests of an access and telemetry, as bytes; and whether a reply is the one that was hoped for.

Field by field what docs/protocol.md 1 and 5 tell of real docks, with invented values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

METHODS: Final = ("config", "airport_bind_status", "airport_organization_get", "airport_organization_bind")
BIND: Final = METHODS.index("airport_organization_bind")

# Every third message of a dock's OSD names its aircraft (docs/protocol.md C32).
FRAGMENTS: Final = 3
_STAMP: Final = 19  # digits of time.perf_counter_ns, padded
_STAMP_KEY: Final = b'{"tid":"'

_GOOD: Final = (
    re.compile(rb'"app_license": ?"[^"]'),
    re.compile(rb'"result": ?0\b'),
    re.compile(rb'"organization_name": ?"[^"]'),
    re.compile(rb'"err_code": ?0\b.*"err_code": ?0\b', re.DOTALL),
)


def aircraft_of(sn: str) -> str:
    return f"1581F{sn[5:]}"


def _config(_sn: str, _organization: str, _code: str) -> str:
    return '{"config_scope":"product","config_type":"json"}'


def _bind_status(sn: str, _organization: str, _code: str) -> str:
    return f'{{"devices":[{{"sn":"{aircraft_of(sn)}"}},{{"sn":"{sn}"}}]}}'


def _organization_get(_sn: str, organization: str, code: str) -> str:
    return f'{{"device_binding_code":"{code}","organization_id":"{organization}"}}'


def _organization_bind(sn: str, organization: str, code: str) -> str:
    devices = ((sn, "Dock", "3-2-0"), (aircraft_of(sn), "Bird", "0-91-1"))
    entries = (
        f'{{"device_binding_code":"{code}","organization_id":"{organization}","device_callsign":"{name} {sn[-5:]}",'
        f'"sn":"{each}","device_model_key":"{key}"}}'
        for each, name, key in devices
    )
    return f'{{"bind_devices":[{",".join(entries)}]}}'


_DATA: Final[tuple[Callable[[str, str, str], str], ...]] = (
    _config,
    _bind_status,
    _organization_get,
    _organization_bind,
)


def request(step: int, sn: str, tid: str, at_ms: int, organization: str, code: str) -> bytes:
    data = _DATA[step](sn, organization, code)
    return (
        f'{{"tid":"{tid}","bid":"{tid}","timestamp":{at_ms},"gateway":"{sn}","method":"{METHODS[step]}","data":{data}}}'
    ).encode()


def is_good(step: int, reply: bytes) -> bool:
    """Whether the reply to request ``step`` says what it says to a dock that is welcome."""
    return _GOOD[step].search(reply) is not None


def telemetry(sn: str, size: int) -> list[bytes]:
    """OSD of one dock, without its beginning: ``stamped`` puts that before. Each comes to ``size`` bytes."""
    numbers = (
        '"latitude":22.577,"longitude":113.943,"height":37.42,"mode_code":0,"cover_state":0,"putter_state":1,'
        '"network_state":{"type":2,"quality":4,"rate":812.5},"temperature":24.1,"humidity":51,"wind_speed":1.2'
    )
    aircraft = (
        f',"sub_device":{{"device_sn":"{aircraft_of(sn)}","device_model_key":"0-91-1",'
        '"device_online_status":1,"device_paired":1}'
    )
    bodies = []
    for fragment in range(FRAGMENTS):
        told = aircraft if fragment == 0 else ""
        body = f'","bid":"b","timestamp":1767225606000,"gateway":"{sn}","data":{{{numbers}{told},"rest":"%s"}}}}'
        room = size - len(_STAMP_KEY) - _STAMP - len(body % "")
        if room < 0:
            raise ValueError(f"telemetry of {size} bytes: at least {size - room} are needed")
        bodies.append((body % ("x" * room)).encode())
    return bodies


def stamped(body: bytes, at_ns: int) -> bytes:
    return b'{"tid":"%019d%b' % (at_ns, body)


def stamp_of(data: bytes, start: int, end: int) -> int | None:
    """When the telemetry between ``start`` and ``end`` was sent; None when there is none."""
    at = data.find(_STAMP_KEY, start, end)
    if at < 0:
        return None
    at += len(_STAMP_KEY)
    return int(data[at : at + _STAMP])
