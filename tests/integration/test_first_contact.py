"""What a client put into CONNECT and SUBSCRIBE is kept and shown; its password and the values of its properties are not."""

from __future__ import annotations

from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.simulator import Target, TlsFiles, dock_model, make_profile, run_dock


def shown(gateway: Any, installation: Any, sn: str) -> Any:
    gateway.call(gateway.runtime.contacts.flush())
    return installation.dockgate("dock", "show", sn)["contacts"]


def test_of_a_dock_over_tls(gateway: Any, installation: Any) -> None:
    login = installation.account("dock-1")
    profile = make_profile(
        dock_model("dock3"),
        account=login.account,
        password=login.password,
        organization_id=installation.organization_id,
        binding_code=installation.binding_code,
    )
    target = Target(gateway.host, gateway.port("tls"), tls=TlsFiles(ca=installation.ca))
    for _ in range(2):
        assert run_dock(target, profile).ok
    (contact,) = shown(gateway, installation, profile.sn)
    said = contact["said"]
    assert (contact["account"], contact["client_id"]) == ("dock-1", profile.sn)
    assert (said["level"], said["listener"], said["tls"]["version"]) == (4, "tls", "TLSv1.3")
    assert {"filter": f"thing/product/{profile.sn}/requests_reply", "qos": 1, "granted": True} in said["filters"]


def test_of_a_will_properties_and_a_refused_filter_without_values(gateway: Any, installation: Any) -> None:
    login = installation.account("dock-1", "dock", "--sn", "D1")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "c1", protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(login.account, login.password)
    client.will_set("thing/product/D1/state", b"hidden-will", qos=1)
    properties = Properties(PacketTypes.CONNECT)
    properties.UserProperty = [("token", "hidden-value")]
    properties.ReceiveMaximum = 7
    granted: list[Any] = []
    client.on_subscribe = lambda c, _d, _m, reasons, _p: (granted.extend(reasons), c.disconnect())
    client.on_connect = lambda c, *_: c.subscribe([("thing/product/D1/services", 0), ("#", 2)])
    client.connect(gateway.host, gateway.port(), keepalive=17, properties=properties)
    client.loop_forever()
    assert [reason.value for reason in granted] == [0, 0x87]
    # the dock was only connected: make it known, as the first message of it would
    gateway.call(gateway.runtime.presence.flush())
    (contact,) = shown(gateway, installation, "D1")
    assert contact["said"] == {
        "level": 5,
        "clean_start": True,
        "keepalive_s": 17,
        "client_id_sent": True,
        "listener": "plain",
        "will": {"topic": "thing/product/D1/state", "qos": 1, "retain": False, "bytes": 11},
        "properties": {"receive_maximum": 7, "user_property_names": ["token"]},
        "filters": [
            {"filter": "thing/product/D1/services", "qos": 0, "granted": True},
            {"filter": "#", "qos": 2, "granted": False},
        ],
    }
    assert "hidden" not in str(contact)
