"""A platform for docks: reads telemetry and events, answers what docks ask of a platform, sends a command. Needs aiomqtt."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
import uuid
from pathlib import Path
from typing import Any

import aiomqtt


def message(method: str, data: Any, **more: Any) -> str:
    """What docks and clouds say to each other. ``more``: ids to give back, else new ones."""
    ids = {"tid": str(uuid.uuid4()), "bid": str(uuid.uuid4())}
    return json.dumps({**ids, **more, "timestamp": int(time.time() * 1000), "method": method, "data": data})


def storage_of(sn: str) -> dict[str, Any]:
    """Where a dock may upload to. Ask your object storage for credentials that end soon, and for this dock alone."""
    credentials = {"access_key_id": "ID", "access_key_secret": "KEY", "security_token": "TOKEN", "expire": 3600}
    return {
        "provider": "minio", "endpoint": "https://storage.example.org", "region": "us-east-1", "bucket": "media",
        "object_key_prefix": sn, "credentials": credentials,
    }  # fmt: skip


class Platform:
    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.asked: dict[str, str] = {}  # tid of a command: what it was

    async def run(self) -> None:
        for topic in ("thing/product/+/osd", "thing/product/+/events", "thing/product/+/services_reply"):
            await self.client.subscribe(topic)
        # at QoS 1: a dock waits for the answer
        await self.client.subscribe("thing/product/+/requests", qos=1)
        await self.client.subscribe("dockgate/events/+")
        print("listening", flush=True)
        async for received in self.client.messages:
            content = json.loads(received.payload)
            _, _, sn, *rest = str(received.topic).split("/")
            kind = "/".join(rest)
            if received.topic.matches("dockgate/events/+"):
                await self.told(content)
            elif kind == "requests":
                await self.answer(sn, content)
            elif kind == "services_reply":
                print("answer", sn, self.asked.pop(content["tid"], "?"), content["data"]["result"], flush=True)
            elif kind == "osd":
                print("telemetry", sn, *sorted(content["data"])[:3], flush=True)

    async def told(self, event: dict[str, Any]) -> None:
        """By the gateway: what happened to a dock."""
        print("event", event["sn"], event["event"], flush=True)
        if event["event"] == "online" and event["device_sn"] == event["sn"]:
            await self.command(event["sn"], "debug_mode_open", {})

    async def command(self, sn: str, method: str, data: dict[str, Any]) -> None:
        text = message(method, data)
        self.asked[json.loads(text)["tid"]] = method
        await self.client.publish(f"thing/product/{sn}/services", text, qos=1)

    async def answer(self, sn: str, asked: dict[str, Any]) -> None:
        """With its tid and bid, or the dock takes it for nothing. What is not answered, the gateway refuses."""
        print("request", sn, asked["method"], flush=True)
        if asked["method"] == "storage_config_get":
            ids = {name: asked[name] for name in ("tid", "bid")}
            text = message(asked["method"], {"result": 0, "output": storage_of(sn)}, **ids)
            await self.client.publish(f"thing/product/{sn}/requests_reply", text, qos=1)


async def main(password: str) -> None:
    client = aiomqtt.Client(
        os.environ["DOCKGATE_HOST"],
        int(os.environ.get("DOCKGATE_PORT", "8883")),
        username=os.environ["DOCKGATE_ACCOUNT"],
        password=password,
        tls_context=ssl.create_default_context(cafile=os.environ["DOCKGATE_CA"]),
        protocol=aiomqtt.ProtocolVersion.V5,
    )
    async with client:
        await Platform(client).run()


if __name__ == "__main__":
    asyncio.run(main(Path(os.environ["DOCKGATE_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()))
