"""The JSON API and its stream of events, with nothing but Python: all docks, then each thing that happens to one."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

API = f"{os.environ.get('DOCKGATE_ADMIN', 'http://127.0.0.1:8080')}/api/v1"
TOKEN = Path(os.environ["DOCKGATE_TOKEN_FILE"]).read_text(encoding="utf-8").strip()


def get(path: str, **headers: str) -> HTTPResponse:
    request = urllib.request.Request(API + path, headers={"Authorization": f"Bearer {TOKEN}", **headers})
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=30)
    return answer


def events(after: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and content of each. ``after``: the last id that was seen, and what was missed since comes first."""
    number = after
    for line in get("/events", **({"Last-Event-ID": after} if after else {})):
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "id":
            number = value
        elif name == "data":
            yield number, json.loads(value)


if __name__ == "__main__":
    with get("/docks") as answer:
        for dock in json.load(answer):
            print("dock", dock["sn"], dock["access_step"], flush=True)
    print("listening", flush=True)
    for _, event in events():
        print("event", event.get("sn"), event.get("event"), flush=True)
