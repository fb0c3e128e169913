"""``health``: a real login against a running gateway, with an account of its own; and what it says when that does not succeed."""

from __future__ import annotations

import shutil
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import passwords, pki
from gateway.cli.health_account import NAME
from gateway.cli.times import now_ms
from gateway.store import accounts, state
from gateway.store.state import GatewayState
from tests.integration.process import Served

DAY_MS = 24 * 60 * 60 * 1000


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def edit(dockgate: Any, old: str, new: str) -> None:
    text = dockgate.config.read_text()
    assert text.count(old) == 1, old
    dockgate.config.write_text(text.replace(old, new))


@pytest.fixture
def loopback(dockgate: Any) -> Any:
    """On ports that are free, and with a card for this machine."""
    edit(dockgate, "bind: 0.0.0.0:8883", f"bind: 127.0.0.1:{free_port()}")
    edit(dockgate, "bind: 127.0.0.1:1883", f"bind: 127.0.0.1:{free_port()}")
    return dockgate


def steps(found: dict[str, Any]) -> dict[str, bool]:
    return {check["name"]: check["ok"] for check in found["checks"]}


def failed(dockgate: Any, *words: str) -> dict[str, str]:
    """The checks that failed, and why."""
    ended = dockgate.run("-o", "json", "health", *words)
    assert ended.code == 1, ended
    assert ended.json["ok"] is False
    assert ended.json["latency_ms"] is None
    return {check["name"]: check["detail"] for check in ended.json["checks"] if not check["ok"]}


def test_well(loopback: Any) -> None:
    with Served(loopback.config) as gateway:
        found = loopback.ok("health", "--wait", "20")
        assert set(found) == {"ok", "latency_ms", "checks"}
        assert all(set(check) == {"name", "ok", "ms", "detail"} for check in found["checks"])
        assert list(steps(found)) == ["gateway", "connect", "tls", "certificate", "login", "ping"]
        assert 0 < found["latency_ms"] < 5000
        gateway.line(f"connected.*{NAME}")
        file = loopback.folder / "health.password"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        made = [entry for entry in loopback.ok("audit", "list") if entry["target"] == NAME]
        assert [entry["action"] for entry in made] == ["account.add"]

        before = file.read_bytes()
        text = loopback.run("health")
        assert (text.code, text.err) == (0, "")
        assert "well; logging in took" in text.out
        assert file.read_bytes() == before
        assert len([entry for entry in loopback.ok("audit", "list") if entry["target"] == NAME]) == 1
        assert file.read_text() not in text.out

        account = loopback.ok("account", "show", NAME)
        assert (account["role"], account["organization_id"], account["can_read_sys"]) == ("observer", None, False)


def test_a_lost_or_stale_password_is_replaced(loopback: Any) -> None:
    with Served(loopback.config):
        loopback.ok("health", "--wait", "20")
        file = loopback.folder / "health.password"
        for harm in (file.unlink, lambda: file.write_text("stale"), lambda: loopback.ok("account", "delete", NAME)):
            harm()
            assert loopback.ok("health")["ok"] is True
            assert passwords.verify(file.read_text(), loopback.write(accounts.get, NAME).password_hash)
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_account_that_is_not_ours_or_closed(loopback: Any) -> None:
    loopback.ok("account", "add", NAME, "--role", "dock")
    assert "as an observer" in failed(loopback)["account"]
    loopback.ok("account", "delete", NAME)
    loopback.ok("account", "add", NAME, "--role", "observer")
    loopback.ok("account", "disable", NAME)
    assert f"dockgate account enable {NAME}" in failed(loopback)["account"]


def test_no_gateway(loopback: Any) -> None:
    found = failed(loopback)
    assert set(found) == {"gateway", "connect"}
    assert "nothing listens" in found["connect"]
    assert loopback.run("health").out.endswith("not well\n")


def test_waits_until_it_is_there(loopback: Any) -> None:
    started: list[Served] = []
    timer = threading.Timer(0.7, lambda: started.append(Served(loopback.config)))
    timer.start()
    try:
        assert loopback.ok("health", "--wait", "30")["ok"] is True
    finally:
        timer.join()
        for gateway in started:
            gateway.signal(signal.SIGKILL)
            gateway.wait()


def test_a_gateway_that_was_killed(loopback: Any) -> None:
    with Served(loopback.config) as gateway:
        loopback.ok("health", "--wait", "20")
        gateway.signal(signal.SIGKILL)
        gateway.wait()
    assert "connect" in failed(loopback)


@contextmanager
def answering(dockgate: Any, answer: bytes) -> Iterator[int]:
    """Something that is no gateway."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(1024)
                    client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        dockgate.write(state.heartbeat, GatewayState(1, now_ms(), now_ms(), 0, {}))
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak MQTT but HTTP"),
        (b"\x20\x02\x00\x05", "not authorized (CONNACK 5)"),
        (b"\x20\x02\x00\x03", "not ready"),
        (b"", "closed the connection"),
        (b"\x20", "closed the connection"),
    ],
)
def test_what_answers_is_no_gateway(dockgate: Any, answer: bytes, why: str) -> None:
    text = dockgate.config.read_text()
    start, end = text.index("  tls:\n"), text.index("  plain:\n")
    dockgate.config.write_text(text[:start] + text[end:])
    with answering(dockgate, answer) as port:
        assert why in failed(dockgate, "--address", f"127.0.0.1:{port}")["login"]


def test_a_tls_listener_that_speaks_something_else(dockgate: Any) -> None:
    with answering(dockgate, b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert "tls" in failed(dockgate, "--address", f"127.0.0.1:{port}")


def test_an_expired_certificate(loopback: Any, tmp_path: Path) -> None:
    """Of another CA: one of its own the gateway renews by itself."""
    pki.initialize(tmp_path / "other", ["192.0.2.10", "127.0.0.1"], now=now_ms() - 400 * DAY_MS)
    for name in ("server.pem", "server.key"):
        shutil.copy(tmp_path / "other" / name, loopback.folder / "certs" / name)
    with Served(loopback.config) as gateway:
        gateway.ready()
        assert failed(loopback)["certificate"] == "expired"


def test_a_certificate_for_another_name(loopback: Any) -> None:
    edit(loopback, "address: 192.0.2.10", "address: dock.example.org")
    with Served(loopback.config) as gateway:
        gateway.ready()
        assert "dock.example.org" in failed(loopback)["certificate"]


def test_where_client_certificates_are_required(loopback: Any) -> None:
    for line in ("cafile: certs/ca.pem", "crlfile: certs/crl.pem"):
        edit(loopback, f"    # {line}", f"    {line}")
    edit(loopback, "    # client_auth: optional", "    client_auth: required")
    with Served(loopback.config) as gateway:
        gateway.ready()
        assert loopback.ok("health")["ok"] is True
        made = loopback.ok("cert", "show", NAME)
        assert loopback.ok("health")["ok"] is True
        assert loopback.ok("cert", "show", NAME) == made
        (loopback.folder / "certs" / "clients" / f"{NAME}.pem").write_text("spoilt")
        assert loopback.ok("health")["ok"] is True


def test_a_port_that_the_system_chooses(dockgate: Any) -> None:
    edit(dockgate, "bind: 0.0.0.0:8883", "bind: 127.0.0.1:0")
    edit(dockgate, "bind: 127.0.0.1:1883", "bind: 127.0.0.1:0")
    assert "--address" in failed(dockgate)["account"]
    with Served(dockgate.config) as gateway:
        port = gateway.ready().port("tls")
        assert dockgate.ok("health", "--address", f"127.0.0.1:{port}", "--wait", "10")["ok"] is True
    assert dockgate.run("health", "--address", "no:where:at:all").code == 2


def test_the_configuration_is_needed(outside: Any) -> None:
    assert outside.bare("health").code == 7


def test_without_a_database(loopback: Any) -> None:
    loopback.database.unlink()
    found = failed(loopback)
    assert set(found) == {"gateway", "account"}
    assert not Path(loopback.folder / "health.password").exists()
