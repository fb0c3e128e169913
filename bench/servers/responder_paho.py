"""A responder on paho-mqtt that answers in its network loop, from SQLite: PORT FLEET DATABASE SYNCHRONOUS on the command line."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import paho.mqtt.client as mqtt
from answers import Answers


def main() -> None:
    port, fleet, database, synchronous = sys.argv[1:]
    answers = Answers(database, synchronous)

    def on_connect(client: mqtt.Client, *_: object) -> None:
        client.subscribe("thing/product/+/requests", qos=0)

    def on_subscribe(*_: object) -> None:
        print("ready", flush=True)

    def on_message(client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        client.publish(f"{message.topic}_reply", answers.answer(message.payload), qos=0)

    def on_socket_open(_client: mqtt.Client, _userdata: object, opened: mqtt.SocketLike) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "responder")
    client.username_pw_set(*json.loads(Path(fleet).read_text(encoding="utf-8"))["responder"])
    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    client.on_socket_open = on_socket_open
    client.connect("127.0.0.1", int(port))
    client.loop_forever()


if __name__ == "__main__":
    main()
