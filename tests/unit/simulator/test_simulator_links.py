"""One connection of a simulated dock: why it does not come about, how it ends, and what can be done with it step by step."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError, DockgateError, RefusedError
from gateway.simulator import DockProfile, SimulatedDock, Target, TlsFiles, payloads, run_dock

from .rig import PASSWORD, Broker, Cloud, a_profile, connected, detail, free_ports, outcome, scripted

# -- connections that do not come about -------------------------------------------------------------------------------


CONNACK = b"\x20\x02\x00\x00"


def connect_failure(target: Target, profile: DockProfile | None = None, timeout_s: float = 5.0) -> str:
    with SimulatedDock(target, profile or a_profile(), timeout_s=timeout_s) as dock:
        with pytest.raises(DockgateError) as failure:
            dock.connect()
        assert not dock.is_open
    assert PASSWORD not in str(failure.value)
    return str(failure.value)


REFUSALS: dict[str, tuple[bytes, str]] = {
    "protocol version": (b"\x20\x02\x00\x01", "did not answer the MQTT 3.1.1 login"),
    "client id": (b"\x20\x02\x00\x02", "does not accept the client id (CONNACK code 2)"),
    "not ready": (b"\x20\x02\x00\x03", "the server is not ready (CONNACK code 3)"),
    "password": (b"\x20\x02\x00\x04", "wrong account or password (CONNACK code 4)"),
    "not authorized": (b"\x20\x02\x00\x05", "not authorized: unknown, disabled or locked account"),
    "another language": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is that port for MQTT"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_login_names_its_code(name: str) -> None:
    packet, words = REFUSALS[name]
    with scripted(packet, hang_up=True) as port:
        assert words in connect_failure(Target("127.0.0.1", port))


@pytest.mark.parametrize(("protocol", "code"), [(4, 5), (5, 135)])
def test_a_wrong_password_is_told_by_the_broker_s_code(broker: Broker, protocol: Any, code: int) -> None:
    dock = SimulatedDock(broker.target("plain", protocol), a_profile(password="wrong"))
    with pytest.raises(RefusedError, match=rf"account dock was refused: .*CONNACK code {code}\)"):
        dock.connect()
    assert dock.connack == code


def test_a_login_that_gets_no_answer() -> None:
    with scripted() as port:
        words = connect_failure(Target("127.0.0.1", port), timeout_s=0.1)
    assert words == f"127.0.0.1:{port} accepted the connection and did not answer the login within 0.1 s"


def test_a_login_that_is_hung_up_on() -> None:
    with scripted(b"", hang_up=True) as port:
        assert "the server closed the connection (is that port for MQTT" in connect_failure(Target("127.0.0.1", port))


def test_a_refused_subscription_names_the_topic() -> None:
    with scripted(CONNACK, b"\x90\x08\x00\x01\x01\x80\x01\x01\x01\x01") as port:
        profile = a_profile()
        run = run_dock(Target("127.0.0.1", port), profile)
    assert outcome(run) == [("connect", True), ("subscribe", False), ("disconnect", True)]
    assert detail(run, "subscribe") == (
        f"refused to let account dock subscribe to thing/product/{profile.sn}/requests_reply (code 128)"
    )


def shown(broker: Broker, name: str) -> TlsFiles:
    """With a client certificate whose key is in the same file."""
    return TlsFiles(broker.folder / "ca.pem", broker.folder / f"{name}.pem", broker.folder / f"{name}.pem")


UNREACHABLE: dict[str, tuple[Callable[[Broker], Target], str]] = {
    "nothing listens": (lambda _broker: Target("127.0.0.1", free_ports(1)[0]), "nothing listens at 127.0.0.1:"),
    "no such host": (lambda _broker: Target("no-such-host.invalid", 1883), "the host name in no-such-host.invalid:1883"),
    "another CA": (
        lambda broker: broker.target("tls", files=TlsFiles(broker.folder / "stranger.pem")),
        "not acceptable: it is not signed by the CA in ",
    ),
    "another CA over WebSocket": (
        lambda broker: broker.target("wss", files=TlsFiles(broker.folder / "stranger.pem")), "is not signed by the CA in ",
    ),
    "the system's authorities": (
        lambda broker: broker.target("tls", files=TlsFiles()), "it is not signed by the system's authorities",
    ),
    "another name": (lambda broker: broker.target("tls", host="127.0.0.2"), "made out for other names than that in 127.0.0.2:"),
    "no client certificate": (
        lambda broker: broker.target("mtls", files=TlsFiles(broker.folder / "ca.pem")), "the server demands a client certificate",
    ),
    "an expired client certificate": (
        lambda broker: broker.target("mtls", files=shown(broker, "expired")), "the client certificate is expired",
    ),
    "a client certificate of another authority": (
        lambda broker: broker.target("mtls", files=shown(broker, "strange")), "does not trust the authority of the client",
    ),
    "TLS to a plain listener": (lambda broker: broker.target("plain", files=TlsFiles(broker.folder / "ca.pem")), "without TLS"),
    "plain to a TLS listener": (
        lambda broker: Target("127.0.0.1", broker.ports["tls"]), "is that port for MQTT, and without TLS?",
    ),
    "WebSocket to a plain listener": (
        lambda broker: Target("127.0.0.1", broker.ports["plain"], websocket=True), "is not a WebSocket listener for MQTT",
    ),
    "MQTT to a WebSocket listener": (
        lambda broker: Target("127.0.0.1", broker.ports["ws"]), "did not answer the",
    ),
    "a CA file that is not there": (
        lambda broker: broker.target("tls", files=TlsFiles(broker.folder / "none.pem")), "cannot use the CA file",
    ),
    "a CA file that is none": (
        lambda broker: broker.target("tls", files=TlsFiles(broker.folder / "users")), "cannot use the CA file",
    ),
    "a client certificate without key": (
        lambda broker: broker.target("tls", files=TlsFiles(broker.folder / "ca.pem", broker.folder / "client.pem")),
        "cannot use the client certificate",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREACHABLE)
def test_a_connection_that_fails_names_the_likely_cause(broker: Broker, name: str) -> None:
    make, words = UNREACHABLE[name]
    assert words in connect_failure(make(broker), timeout_s=1.0)


@pytest.mark.parametrize("name", UNREACHABLE)
def test_a_connection_that_fails_names_what_mends_it(broker: Broker, name: str) -> None:
    make, _words = UNREACHABLE[name]
    target = make(broker)
    (step,) = (step for step in run_dock(target, a_profile(), timeout_s=1.0).steps if not step.ok)
    assert step.hint is not None
    assert REMEDIES[name] in step.hint
    assert step.as_dict()["hint"] == step.hint


REMEDIES = {
    "nothing listens": "start the gateway there: dockgate serve",
    "no such host": "--address with an IP address",
    "another CA": "--ca FILE names the CA",
    "another CA over WebSocket": "--ca FILE names the CA",
    "the system's authorities": "--ca FILE names the CA",
    "another name": "dockgate cert renew --host 127.0.0.2",
    "no client certificate": "--cert and --key; both are made by: dockgate cert issue dock",
    "an expired client certificate": "another --cert and --key: dockgate cert issue dock --replace",
    "a client certificate of another authority": "another --cert and --key: dockgate cert issue dock --replace",
    "TLS to a plain listener": "--plain for a listener without TLS",
    "plain to a TLS listener": "leave out --plain",
    "WebSocket to a plain listener": "dockgate doctor",
    "MQTT to a WebSocket listener": "leave out --plain",
    "a CA file that is not there": "--ca takes a PEM file",
    "a CA file that is none": "--ca takes a PEM file",
    "a client certificate without key": "--cert and --key take PEM files",
}


def test_a_connection_that_failed_leaves_nothing_open(broker: Broker, cloud: Cloud) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for make, _words in UNREACHABLE.values():
        connect_failure(make(broker), timeout_s=1.0)
    assert run_dock(broker.target("wss", 5), a_profile()).ok
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before


def test_silence_is_shown_out_or_noticed(broker: Broker) -> None:
    with scripted(hang_up=True) as port:
        run = run_dock(Target("127.0.0.1", port), a_profile(), misbehaviour="silence")
    assert outcome(run) == [("connect", True)]
    assert "was shown out" in detail(run, "connect")
    with scripted() as port:
        run = run_dock(Target("127.0.0.1", port), a_profile(), misbehaviour="silence", timeout_s=0.05)
    assert "still held a connection that said nothing after 0.1 s" in detail(run, "connect")
    files = TlsFiles(broker.folder / "stranger.pem")
    run = run_dock(broker.target("tls", files=files), a_profile(), misbehaviour="silence")
    assert "not signed by" in detail(run, "connect")


# -- step by step -----------------------------------------------------------------------------------------------------


def test_requests_from_many_threads_each_get_their_own_reply(broker: Broker, cloud: Cloud) -> None:
    with connected(broker.target("plain")) as dock, ThreadPoolExecutor(8) as pool:
        tids = [f"tid-{number}" for number in range(40)]
        replies = list(pool.map(lambda tid: dock.request("config", payloads.config_data(), tid=tid), tids))
        assert [reply["tid"] for reply in replies] == tids
        assert dock.waiting(f"{dock.requests_topic}_reply") == ()


def test_ids_of_any_kind_and_raw_messages(broker: Broker, cloud: Cloud) -> None:
    with connected(broker.target("plain")) as dock:
        assert dock.request("config", {}, tid=7, bid="flight-1")["tid"] == 7
        raw = b'{"method":"config","tid":"r-1","data":{}}'
        assert dock.request("", None, raw=raw)["tid"] == "r-1"
        assert dock.request("no_such_method", {})["data"] == {"result": 200001}
        cloud.spoil_envelope = lambda reply: reply | {"timestamp": 5}
        assert dock.request("config", {}, strict=False)["timestamp"] == 5
        with pytest.raises(DockgateError, match="cannot accept the reply to config: timestamp must be"):
            dock.request("config", {})


def test_other_topics_are_expected_by_name(broker: Broker, cloud: Cloud) -> None:
    profile = a_profile()
    topic = f"thing/product/{profile.sn}/services"
    with connected(broker.target("plain"), profile) as dock:
        with pytest.raises(DockgateError, match=r"nothing came on .*services within 0\.05 s"):
            dock.expect(topic, 0.05)
        dock.publish(topic, b"{}")
        message = dock.expect(topic)
        assert (message.payload, message.qos, message.retain) == (b"{}", 1, False)
        state = dock.publish_state(sn=profile.sn, tid="s-1")
        assert dock.reply(state)["data"] == {"result": 0}
        assert dock.reply(dock.publish_event("drc_status_notify", data={}))["method"] == "drc_status_notify"
        assert dock.update_topo(with_aircraft=False)["data"] == {"result": 0}
        assert (dock.publish_osd(), dock.publish_aircraft_osd(), dock.publish_hms(), dock.publish_airsense()) == (
            3,
            1,
            1,
            1,
        )
        with pytest.raises(ValueError, match="wildcards"):
            dock.publish("thing/+/x", b"")


def test_a_dock_without_aircraft_has_none_to_speak_for(broker: Broker) -> None:
    dock = SimulatedDock(broker.target("plain"), replace(a_profile(), aircraft_sn=None))
    with pytest.raises(DockgateError, match="has no aircraft"):
        dock.publish_aircraft_osd()
    with pytest.raises(DockgateError, match="not connected yet"):
        dock.request("config", {})


def test_mqtt_5_tells_of_a_refused_message(broker: Broker) -> None:
    profile = a_profile(account="narrow")
    with connected(broker.target("plain", 5), profile) as dock:
        dock.publish(f"thing/product/{profile.sn}/no_such_kind", b"nobody listens is no refusal")
        with pytest.raises(RefusedError, match=r"account narrow publish on .*/osd \(code 135\)"):
            dock.publish_osd(qos=1)
    with connected(broker.target("plain"), profile) as dock:
        assert dock.publish_osd(qos=1) == 3


def test_the_loss_of_a_connection_reaches_whoever_waits(broker: Broker, cloud: Cloud) -> None:
    profile, words = a_profile(), "the server closed the connection"
    cloud.spoil = lambda _method, _data: None
    with connected(broker.target("plain"), profile) as dock, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(dock.request, "config", {})
        with connected(broker.target("plain"), profile) as other:  # the same client id: the broker drops the first
            assert dock.wait_closed(5)
            with pytest.raises(DockgateError, match=words):
                waiting.result(5)
            assert other.is_open
    assert dock.closed_because == words
    with pytest.raises(DockgateError, match=words):
        dock.publish("thing/product/x/osd", b"")


def test_mqtt_5_tells_why_the_server_ended_the_connection() -> None:
    with (
        scripted(b"\x20\x03\x00\x00\x00", b"\xe0\x01\x8e") as port,
        SimulatedDock(Target("127.0.0.1", port, protocol=5), a_profile()) as dock,
    ):
        dock.connect()
        with pytest.raises(DockgateError, match=r"the server ended the connection: Session taken over \(code 142\)"):
            dock.publish("thing/product/x/osd", b"")


def test_a_dropped_dock_comes_back(broker: Broker, cloud: Cloud) -> None:
    for kind in ("plain", "wss"):
        with connected(broker.target(kind)) as dock:
            dock.drop()
            assert not dock.is_open
            dock.connect()
            dock.subscribe()
            assert dock.request("config", {})["data"]["app_id"] == "100001"


def test_closing_does_not_wait_for_a_server_that_reads_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.simulator.client._CLOSE_WAIT_S", 0.05)
    release = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _peer = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(CONNACK)
                release.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        dock = SimulatedDock(Target("127.0.0.1", listener.getsockname()[1]), a_profile(), timeout_s=0.1)
        dock.connect()
        with pytest.raises(DockgateError, match="did not acknowledge a message"):
            dock.publish("thing/product/x/osd", b"x" * 50_000_000)
        dock.close()
        assert not dock.is_open
        release.set()
        thread.join(10)


def test_no_secret_is_shown(broker: Broker) -> None:
    profile = a_profile(password="top-secret-9", binding_code="SECRET-CODE")
    dock = SimulatedDock(broker.target("plain"), profile)
    run = run_dock(broker.target("plain"), profile)
    shown = f"{profile!r} {dock!r} {vars(dock)!r} {run!r} {json.dumps(run.as_dict())}"
    assert "top-secret-9" not in shown
    assert "SECRET-CODE" not in shown


def test_a_bad_tls_file_is_a_matter_of_configuration(broker: Broker) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem"):
        SimulatedDock(broker.target("tls", files=TlsFiles(broker.folder / "none.pem")), a_profile()).connect()
