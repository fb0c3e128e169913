"""No secret in any log line: a gateway that logs all it can goes through an access and its mishaps; its lines are searched."""

from __future__ import annotations

import dataclasses
import json
import signal
import ssl
from typing import Any

import pytest

from gateway.errors import RefusedError
from gateway.simulator import MODELS, SimulatedDock, Target, TlsFiles, make_profile, run_dock

from .process import Served, dockgate
from .wire import Will, Wire

GUESS, CHOSEN = "gu3ssed-pass-w0rd", "ch0sen-by-the-operator"
DEVICE_SECRET, NONCE = "d3vice-secret-0042", "n0nce-0042"


@pytest.mark.parametrize("how", ["text", "json"])
def test_no_secret_is_logged(installation: Any, how: str) -> None:
    installation.license()
    license_ = json.loads((installation.folder / "license.json").read_text())
    login, service = installation.account("dock-1"), installation.account("platform", "service")
    code = installation.dockgate("org", "code", "add", installation.organization_id)["binding_code"]
    with Served(installation.config_file, DOCKGATE__LOG__LEVEL="debug", DOCKGATE__LOG__FORMAT=how) as gateway:
        gateway.line("ready")
        tls = Target(gateway.host, gateway.port("tls"), tls=TlsFiles(ca=installation.ca), protocol=5)
        plain = Target(gateway.host, gateway.port("plain"))
        profile = make_profile(
            MODELS["dock3"], account="dock-1", password=login.password,
            organization_id=installation.organization_id, binding_code=code,
        )  # fmt: skip
        for target in (tls, plain):
            assert run_dock(target, profile).ok
        with SimulatedDock(plain, profile) as dock:
            dock.connect()
            dock.subscribe()
            wrong = {"device_binding_code": code, "organization_id": "no-such-organization"}
            assert dock.request("airport_organization_get", wrong)["data"]["result"] == 210230
            told = {"domain": "3", "device_secret": DEVICE_SECRET, "nonce": NONCE, "sub_devices": "no list"}
            topic = f"sys/product/{profile.sn}/status"
            body = {"tid": "t", "bid": "b", "timestamp": 1, "method": "update_topo", "data": told}
            assert dock.reply(dock.send(topic, body))["data"]["result"] == 200001
            for raw in (
                json.dumps({**body, "method": "config", "data": {"app_key": license_["app_key"], "config_scope": 1}}),
                '{"password":"' + GUESS + '","tid":',
            ):
                dock.send_raw(dock.requests_topic, raw.encode())
        with (
            SimulatedDock(plain, dataclasses.replace(profile, password=GUESS)) as stranger,
            pytest.raises(RefusedError),
        ):
            stranger.connect()
        for data in (f"GET /?password={GUESS} HTTP/1.1\r\n\r\n".encode(), b"\x10\x05" + GUESS.encode()):
            with Wire(gateway.host, gateway.port("plain")) as wire:
                wire.send(data)
                assert wire.wait_closed(5)
        context = ssl.create_default_context(cafile=installation.ca)
        with Wire(gateway.host, gateway.port("tls"), tls=context) as wire:
            assert wire.login("p", "platform", service.password, will=Will("$x", GUESS.encode())).code == 0
            wire.subscribe("#")
            reply = {"tid": "t", "data": {"app_key": license_["app_key"], "app_license": license_["app_license"]}}
            wire.publish(f"thing/product/{profile.sn}/requests_reply", json.dumps(reply).encode())
            words = ("account", "passwd", "platform", "--password-stdin")
            dockgate(installation.config_file, *words, stdin=CHOSEN + "\n")
            assert wire.wait_closed(2)
        with Wire(gateway.host, gateway.port("plain")) as wire:
            assert wire.login("p", "platform", CHOSEN).code == 0
        gateway.signal(signal.SIGHUP)
        gateway.line("reload")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
    log = "\n".join(gateway.lines)
    for kind in ("ready", "connected", "login refused", "HTTP was spoken", "cannot be read", "stopping"):
        assert kind in log  # it did log
    if how == "json":
        assert all(isinstance(json.loads(line), dict) for line in gateway.lines)
    secrets = (
        login.password, service.password, code, installation.binding_code, GUESS, CHOSEN, DEVICE_SECRET, NONCE,
        license_["app_key"], license_["app_license"],
    )  # fmt: skip
    assert [number for number, secret in enumerate(secrets) if secret in log] == []
