"""A strict dock's judgement of each reply: what was asked and what came back go in, complaints go out; an empty list is
a good reply.

A refusal (a non-zero result in the right shape) is a good reply: whether it was wanted is for the caller. Complaints
name fields and types, never values of a license, so that they may be shown and logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from gateway.simulator.payloads import Json

# A key that the message did not have; None is a value that a device could have sent.
ABSENT: object = object()

# The only official meanings (docs/protocol.md 1.5); Pilot's own texts are not published.
MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        200001: "the request was refused as unacceptable",
        210230: "the organization id and binding code are unknown or do not belong together",
        210231: "binding failed",
        210232: "the device is bound to another organization",
        210233: "the binding status could not be looked up",
    }
)
BOUND_ELSEWHERE = 210232


class Complaint(NamedTuple):
    """``rule`` is a short stable word for tests and tables, ``text`` is for people."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The message that wants an answer. ``tid`` and ``bid`` are ABSENT when it had none."""

    topic: str
    gateway: str
    method: object
    tid: object
    bid: object
    data: object

    @classmethod
    def of(cls, topic: str, gateway: str, message: Mapping[str, Any]) -> Asked:
        return cls(
            topic, gateway, message.get("method", ABSENT), message.get("tid", ABSENT), message.get("bid", ABSENT),
            message.get("data"),
        )  # fmt: skip


def meaning(code: int) -> str:
    return MEANINGS.get(code, "no public meaning")


def parse(payload: bytes) -> Json:
    """Raises ValueError with the reason. Stricter than JSON libraries: an object, each key once, no NaN."""
    try:
        value = json.loads(payload.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for every unusable payload
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def result_of(reply: Mapping[str, Any]) -> int | None:
    """The result in a reply; 0 for a license that came without one, None when there is no usable result."""
    data = reply.get("data")
    if not isinstance(data, dict):
        return None
    if "result" not in data and "app_id" in data:
        return 0
    result = data.get("result")
    return result if _is_int(result) else None


def check(asked: Asked, topic: str, payload: bytes) -> list[Complaint]:
    """Everything that a strict dock holds against this reply."""
    complaints: list[Complaint] = []
    if topic != f"{asked.topic}_reply":
        complaints.append(Complaint("topic", f"answered on {topic} instead of {asked.topic}_reply"))
    try:
        reply = parse(payload)
    except ValueError as error:
        return [*complaints, Complaint("json", f"the reply is no JSON object: {_without_value(error)}")]
    complaints += _envelope(asked, reply)
    data = reply.get("data")
    if not isinstance(data, dict):
        return [*complaints, Complaint("data", f"data is {_kind(data)}, not an object")]
    if not asked.topic.endswith("/requests"):
        return complaints + _plain_result(data)
    if asked.method == "config":
        return complaints + _license(data)
    return complaints + _result(asked, data)


def _without_value(error: ValueError) -> str:
    # A decoding error quotes the bytes it choked on; its class is enough.
    return type(error).__name__ if isinstance(error, UnicodeDecodeError | json.JSONDecodeError) else str(error)


def _envelope(asked: Asked, reply: Json) -> list[Complaint]:
    found = []
    for key, sent in (("tid", asked.tid), ("bid", asked.bid)):
        got = reply.get(key, ABSENT)
        if sent is ABSENT:
            if got is not ABSENT:
                found.append(Complaint(key, f"{key} was invented: the request had none"))
        elif got is ABSENT:
            found.append(Complaint(key, f"{key} is missing"))
        elif type(got) is not type(sent) or got != sent:
            found.append(Complaint(key, f"{key} is not the one that was sent"))
    method = reply.get("method", ABSENT)
    # Replies to status, state and events do without a method on the wire (docs/protocol.md 4); a wrong one is wrong
    # everywhere.
    may_lack = asked.method is ABSENT or not asked.topic.endswith("/requests")
    if method is ABSENT and not may_lack:
        found.append(Complaint("method", "method is missing"))
    elif method is not ABSENT and method != asked.method:
        found.append(Complaint("method", "method is not the one that was sent"))
    timestamp = reply.get("timestamp", ABSENT)
    if not _is_int(timestamp) or not 10**12 <= timestamp < 10**13:
        found.append(
            Complaint(
                "timestamp", f"timestamp must be milliseconds, a whole number of 13 digits, not {_kind(timestamp)}"
            )
        )
    if "gateway" in reply and reply["gateway"] != asked.gateway:
        found.append(Complaint("gateway", "gateway is not this dock"))
    return found


def _license(data: Json) -> list[Complaint]:
    """``config`` is answered flat; the refusals {"result": n} and {"result": n, "output": …} are the other good
    answers.
    """
    if "app_id" not in data and _is_int(data.get("result")) and data["result"] != 0:
        return []
    found = []
    if "result" in data or "output" in data:
        found.append(Complaint("flat", "the license is wrapped in result and output: a dock finds no app_id there"))
    for key in ("app_id", "app_key", "app_license"):
        value = data.get(key, ABSENT)
        if not isinstance(value, str):
            found.append(Complaint(key, f"{key} must be text, not {_kind(value)}"))
        elif not value or value != value.strip() or " " in value:
            found.append(Complaint(key, f"{key} is empty or a sentence: a placeholder, not a license"))
    if "ntp_server_host" in data and not (isinstance(data["ntp_server_host"], str) and data["ntp_server_host"]):
        found.append(
            Complaint(
                "ntp_server_host", f"ntp_server_host must be text or absent, not {_kind(data['ntp_server_host'])}"
            )
        )
    if "ntp_server_port" in data and not (_is_int(data["ntp_server_port"]) and 0 < data["ntp_server_port"] < 65536):
        found.append(Complaint("ntp_server_port", "ntp_server_port must be a port number or absent"))
    return found


def _plain_result(data: Json) -> list[Complaint]:
    result = data.get("result", ABSENT)
    return [] if _is_int(result) else [Complaint("result", f"result must be a whole number, not {_kind(result)}")]


def _result(asked: Asked, data: Json) -> list[Complaint]:
    found = _plain_result(data)
    if "output" in data and not isinstance(data["output"], dict):
        return [*found, Complaint("output", f"output must be an object, not {_kind(data['output'])}")]
    shape = _OUTPUTS.get(asked.method) if isinstance(asked.method, str) else None
    if found or data["result"] != 0 or shape is None:
        return found
    if "output" not in data:
        return [Complaint("output", "output is missing though result is 0")]
    return shape(asked.data, data["output"])


def _bind_status(asked: object, output: Json) -> list[Complaint]:
    entries, found = _per_device(asked, "devices", output, "bind_status")
    for entry in entries:
        bound = entry.get("is_device_bind_organization", ABSENT)
        if not isinstance(bound, bool):
            text = f"is_device_bind_organization must be true or false, not {_kind(bound)}"
            found.append(Complaint("is_device_bind_organization", text))
        for key in ("organization_id", "organization_name", "device_callsign"):
            if not isinstance(entry.get(key, ABSENT), str):
                found.append(
                    Complaint(
                        key, f"{key} must be text (empty when there is none), not {_kind(entry.get(key, ABSENT))}"
                    )
                )
        organization = entry.get("organization_id")
        if isinstance(bound, bool) and isinstance(organization, str) and bound != bool(organization):
            found.append(Complaint("organization_id", "organization_id must be given when bound, and empty when not"))
    return found


def _organization_name(_asked: object, output: Json) -> list[Complaint]:
    name = output.get("organization_name", ABSENT)
    if isinstance(name, str) and name:
        return []
    return [Complaint("organization_name", f"organization_name must be text, not {_kind(name)}")]


def _err_infos(asked: object, output: Json) -> list[Complaint]:
    entries, found = _per_device(asked, "bind_devices", output, "err_infos")
    found += [
        Complaint("err_code", f"err_code must be a whole number, not {_kind(entry.get('err_code', ABSENT))}")
        for entry in entries
        if not _is_int(entry.get("err_code", ABSENT))
    ]
    return found


def _per_device(asked: object, asked_key: str, output: Json, key: str) -> tuple[list[Json], list[Complaint]]:
    """The entries of ``output[key]`` that are objects; there must be one per device asked for, in the order of the
    request.
    """
    entries = output.get(key, ABSENT)
    if not isinstance(entries, list):
        return [], [Complaint(key, f"{key} must be an array, not {_kind(entries)}")]
    usable = [entry for entry in entries if isinstance(entry, dict)]
    wanted = _asked_sns(asked, asked_key)
    got = [entry.get("sn", ABSENT) for entry in usable]
    if len(usable) == len(entries) and got == wanted:
        return usable, []
    if sorted(map(str, got)) == sorted(map(str, wanted)) and len(usable) == len(entries):
        return usable, [Complaint("order", f"{key} is not in the order of the request")]
    return usable, [Complaint(key, f"{key} must have one entry for each of the {len(wanted)} devices asked for")]


def _asked_sns(asked: object, key: str) -> list[object]:
    devices = asked.get(key) if isinstance(asked, dict) else None
    return [device.get("sn") for device in devices if isinstance(device, dict)] if isinstance(devices, list) else []


_OUTPUTS: Mapping[str, Callable[[object, Json], list[Complaint]]] = MappingProxyType(
    {
        "airport_bind_status": _bind_status,
        "airport_organization_get": _organization_name,
        "airport_organization_bind": _err_infos,
    }
)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _kind(value: object) -> str:
    """A type in words, never the value."""
    if value is ABSENT:
        return "missing"
    if value is None:
        return "null"
    words = {
        bool: "true or false",
        int: "a number",
        float: "a fraction",
        str: "text",
        list: "an array",
        dict: "an object",
    }
    return words.get(type(value), type(value).__name__)


def describe(complaints: Sequence[Complaint]) -> str:
    return "; ".join(complaint.text for complaint in complaints)
