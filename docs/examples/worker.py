"""One of several that share the work: each message of a dock goes to one of the group. Needs paho-mqtt."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

GROUP, NAME = "telemetry", sys.argv[1]


def connected(client: mqtt.Client, *_: Any) -> None:
    client.subscribe(f"$share/{GROUP}/thing/product/+/osd", qos=1)


def subscribed(*_: Any) -> None:
    print("listening", flush=True)


def received(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
    print(NAME, message.topic, flush=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"worker-{NAME}", protocol=mqtt.MQTTv5)
client.username_pw_set(os.environ["DOCKGATE_ACCOUNT"], Path(os.environ["DOCKGATE_PASSWORD_FILE"]).read_text().strip())
client.tls_set(os.environ["DOCKGATE_CA"])
client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, received
client.connect(os.environ["DOCKGATE_HOST"], int(os.environ.get("DOCKGATE_PORT", "8883")))
client.loop_forever()
