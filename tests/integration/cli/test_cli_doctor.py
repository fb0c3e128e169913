"""``doctor``: what it finds on this machine, what it mends, and what it sees from the outside; each with the step that mends it."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import ssl
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway import passwords, pki
from gateway.cli import machine, outside
from gateway.cli.times import now_ms
from gateway.model import AccessStep, License
from gateway.store import accounts, audit, devices, licenses
from gateway.store.audit import Entry
from gateway.store.devices import Presence
from tests.integration.process import Served

SN = "7CTDM7100B1234"
DAY_MS = 24 * 60 * 60 * 1000


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def edit(dockgate: Any, old: str, new: str) -> None:
    text = dockgate.config.read_text()
    assert text.count(old) == 1, old
    dockgate.config.write_text(text.replace(old, new))


@pytest.fixture
def here(dockgate: Any) -> Any:
    """An installation without a flaw, on ports that are free; only that the gateway does not run is found."""
    edit(dockgate, "bind: 0.0.0.0:8883", f"bind: 127.0.0.1:{free_port()}")
    edit(dockgate, "bind: 127.0.0.1:1883", f"bind: 127.0.0.1:{free_port()}")
    dockgate.write(
        licenses.put,
        license=License(
            organization_id=None, app_id="1", app_key="k" * 32, app_license="l" * 40, ntp_server_host="127.0.0.1",
            ntp_server_port=123, changed_at=1,
        ),
    )  # fmt: skip
    dockgate.write(accounts.touch_logins, {"dock": now_ms()})
    (dockgate.folder / "made.json").unlink()
    return dockgate


def found(
    dockgate: Any, *words: str, but: tuple[str, ...] = ("gateway_not_running", "disk_space")
) -> dict[str, dict[str, Any]]:
    """Findings by their id; what is always there left out."""
    ended = dockgate.run("-o", "json", "doctor", *words)
    assert ended.code in {0, 1}, ended
    result = ended.json
    assert set(result) - {"mended", "steps"} == {"ok", "findings"}
    for finding in result["findings"]:
        assert set(finding) == {"id", "severity", "what", "fix"}
        assert finding["fix"]
    assert (ended.code == 0) is result["ok"]
    return {one["id"]: one for one in result["findings"] if one["id"] not in but}


def mended(dockgate: Any) -> list[str]:
    return list(dockgate.run("-o", "json", "doctor", "--fix").json["mended"])


def test_nothing_else_is_found(here: Any) -> None:
    assert found(here) == {}
    stopped = found(here, but=("disk_space",))["gateway_not_running"]
    assert (stopped["severity"], stopped["fix"]) == ("error", "dockgate serve")
    assert here.run("doctor").code == 1
    assert mended(here) == []


# -- this machine


def test_a_port_that_is_taken(here: Any) -> None:
    port = int(here.config.read_text().split("bind: 127.0.0.1:")[1].split()[0])
    with socket.create_server(("127.0.0.1", port)):
        finding = found(here)["port_taken"]
    assert finding["severity"] == "error"
    assert str(port) in finding["what"]
    assert "another program listens there" in finding["what"]
    assert found(here) == {}


def test_an_address_of_another_machine(here: Any) -> None:
    port = here.config.read_text().split("bind: 127.0.0.1:")[1].split()[0]
    edit(here, f"bind: 127.0.0.1:{port}", f"bind: 192.0.2.10:{port}")
    assert "no such address" in found(here)["port_taken"]["what"]


def test_a_gateway_that_runs(here: Any) -> None:
    with Served(here.config) as gateway:
        gateway.ready()
        here.ok("health", "--wait", "10")
        while here.ok("account", "show", "dockgate-health")["last_login_at"] is None:
            continue  # it is written within a second
        assert found(here, but=("disk_space",)) == {}
        assert here.run("doctor").out.startswith(("nothing found", "warning"))

        # renewed behind its back
        pki.renew_server(here.folder / "certs", now=now_ms())
        assert found(here)["certificate_not_reloaded"]["fix"] == "dockgate doctor --fix"
        assert mended(here) == [f"the gateway (process {gateway.pid}) was told to read its certificates again"]
        gateway.line("reload: new connections use the files")
        assert found(here) == {}


def test_a_port_that_does_not_answer(here: Any) -> None:
    with Served(here.config) as gateway:
        gateway.ready()
        here.ok("health", "--wait", "10")
        port = here.config.read_text().split("bind: 127.0.0.1:")[1].split()[0]
        edit(here, f"bind: 127.0.0.1:{port}", f"bind: 127.0.0.1:{free_port()}")
        finding = found(here)["port_unreachable"]
    assert finding["severity"] == "error"
    assert "nothing listens" in finding["what"]


def test_modes_of_files(here: Any) -> None:
    harms = {
        "dockgate.db": 0o644,
        "certs/ca.key": 0o640,
        "certs/server.key": 0o666,
        "broker.yaml": 0o666,
        "certs/crl.pem": 0o644,
    }
    for name, mode in harms.items():
        (here.folder / name).chmod(mode)
    (here.folder / "health.password").write_text("x")
    (here.folder / "health.password").chmod(0o604)
    told = [one["what"] for one in here.run("-o", "json", "doctor").json["findings"] if one["id"] == "file_mode"]
    names = {what.split(":")[0].rpartition("/")[2] for what in told}
    assert names - {"dockgate.db-wal", "dockgate.db-shm"} == {
        "broker.yaml", "dockgate.db", "health.password", "server.key",
    }  # fmt: skip
    assert len(mended(here)) == len(names)
    assert "file_mode" not in found(here)
    modes = {name: stat.S_IMODE((here.folder / name).stat().st_mode) for name in (*harms, "health.password")}
    assert modes == {
        "dockgate.db": 0o600, "certs/ca.key": 0o640, "certs/server.key": 0o600, "broker.yaml": 0o664, "certs/crl.pem": 0o644,
        "health.password": 0o600,
    }  # fmt: skip


@pytest.mark.parametrize(("free", "severity"), [(10 << 20, "error"), (200 << 20, "warning"), (1 << 40, None)])
def test_disk_space(here: Any, monkeypatch: pytest.MonkeyPatch, free: int, severity: str | None) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _folder: Usage())
    finding = found(here, but=("gateway_not_running",)).get("disk_space")
    assert (finding and finding["severity"]) == severity


@pytest.mark.case(34)
def test_a_damaged_database_does_not_hide_the_rest(here: Any) -> None:
    here.database.write_bytes(b"no database" * 1000)
    (here.folder / "certs/server.key").chmod(0o666)
    told = found(here)
    assert set(told) == {"database_damaged", "file_mode"}
    assert told["database_damaged"]["severity"] == "error"
    assert told["database_damaged"]["fix"] == "dockgate backup restore FILE"
    here.database.unlink()
    assert set(found(here)) == {"database_missing", "file_mode"}


def test_a_database_of_another_version(here: Any) -> None:
    for version, kind in ((0, "database_older"), (9999, "database_newer")):
        with closing(sqlite3.connect(here.database)) as db:
            db.execute(f"PRAGMA user_version={version}")
        assert set(found(here)) == {kind}


def test_a_clock_that_went_back(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here.write(audit.append, [Entry(now_ms() + 3 * 60 * 60_000, "cli:root", "org.add", "x", "ok", {})])
    finding = found(here)["clock_behind"]
    assert "minutes behind" in finding["what"]
    assert "timedatectl" in finding["fix"]


def test_a_clock_before_the_authority(here: Any) -> None:
    shutil.rmtree(here.folder / "certs")
    pki.initialize(here.folder / "certs", ["192.0.2.10"], now=now_ms() + 30 * DAY_MS)
    told = found(here)
    assert {"clock_behind", "certificate_not_yet_valid"} <= set(told)
    assert "is the clock of this machine right?" in told["certificate_not_yet_valid"]["what"]


def test_a_clock_that_stands_still(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = time.time_ns()
    monkeypatch.setattr(machine.time, "time_ns", lambda: stopped)
    assert found(here)["clock_stopped"]["severity"] == "error"


def test_leftovers(here: Any) -> None:
    (here.folder / ".dockgate-restore-abc").mkdir()
    assert str(here.folder / ".dockgate-restore-abc") in found(here)["leftover"]["fix"]


# -- certificates


def foreign(here: Any, *names: str, chain: Callable[[list[bytes], bytes], bytes] | None = None, **options: Any) -> None:
    root = trustme.CA(organization_name="Elsewhere")
    middle = root.create_child_ca()
    made = middle.issue_cert(*names, **options)
    (here.folder / "certs/ca.key").unlink()
    leaf = [pem.bytes() for pem in made.cert_chain_pems]
    content = chain(leaf, root.cert_pem.bytes()) if chain else b"".join(leaf)
    (here.folder / "certs/server.pem").write_bytes(content)
    (here.folder / "certs/server.key").write_bytes(made.private_key_pem.bytes())


@pytest.mark.parametrize(
    ("chain", "kind", "severity"),
    [
        (None, None, None),
        (lambda leaf, _root: b"".join(reversed(leaf)), "certificate_order", "error"),
        (lambda leaf, root: leaf[0] + root, "certificate_order", "error"),
        (lambda leaf, _root: leaf[0], "certificate_incomplete", "warning"),
    ],
    ids=["right", "reversed", "a step missing", "leaf only"],
)
def test_chain_of_another_authority(here: Any, chain: Any, kind: str | None, severity: str | None) -> None:
    foreign(here, "192.0.2.10", chain=chain)
    told = found(here)
    if kind is None:
        assert told == {}
        return
    assert told[kind]["severity"] == severity
    assert told[kind]["fix"] == "dockgate cert import --chain F --key F"


def test_a_key_of_another_certificate(here: Any) -> None:
    (here.folder / "certs/server.key").write_bytes(trustme.CA().private_key_pem.bytes())
    assert found(here)["certificate_key"]["fix"] == "dockgate cert renew --new-key"
    here.ok("cert", "renew", "--new-key")
    assert found(here) == {}


def test_own_ones_are_renewed_when_asked(here: Any) -> None:
    edit(here, "address: 192.0.2.10", "address: dock.example.org")
    finding = found(here)["certificate_names"]
    assert finding["fix"] == "dockgate cert renew --host dock.example.org"
    (done,) = mended(here)
    assert "dock.example.org" in done
    assert found(here) == {}
    sans = here.ok("cert", "show")["sans"]
    assert sans[:2] == ["dock.example.org", "192.0.2.10"]
    assert here.ok("audit", "list")[-1]["action"] == "cert.renew"

    shutil.rmtree(here.folder / "certs")
    pki.initialize(here.folder / "certs", ["dock.example.org"], now=now_ms() - 400 * DAY_MS)
    assert found(here)["certificate_expired"]["severity"] == "error"
    assert len(mended(here)) == 1
    assert found(here) == {}


def test_foreign_ones_are_left_alone(here: Any) -> None:
    foreign(here, "192.0.2.10", not_after=datetime.now(UTC) + timedelta(days=5))
    before = (here.folder / "certs/server.pem").read_bytes()
    assert "expires in 4 days" in found(here)["certificate_expiring"]["what"]
    assert mended(here) == []
    assert (here.folder / "certs/server.pem").read_bytes() == before


def test_which_authority_is_told_until_a_dock_came(here: Any) -> None:
    here.ok("account", "delete", "dock")
    here.ok("account", "add", "dock", "--role", "dock")
    told = found(here, but=("gateway_not_running", "disk_space", "account_unused"))
    assert told["certificate_private_ca"]["severity"] == "info"
    assert "GoDaddy" in told["certificate_private_ca"]["what"]
    here.write(accounts.touch_logins, {"dock": now_ms()})
    assert found(here) == {}
    here.ok("account", "delete", "dock")
    here.ok("account", "add", "dock", "--role", "dock")
    foreign(here, "192.0.2.10")
    assert "certificate_other_ca" in found(here)


def ask_for_certificates(here: Any, *, crl: bool = True) -> None:
    lines = ["cafile: certs/ca.pem", "client_auth: optional", *(["crlfile: certs/crl.pem"] if crl else [])]
    for line in lines:
        edit(here, f"    # {line}", f"    {line}")


def test_client_authorities_and_lists(here: Any) -> None:
    ask_for_certificates(here)
    assert found(here) == {}
    crl = here.folder / "certs/crl.pem"
    good = crl.read_bytes()

    crl.write_text("no list")
    assert found(here)["client_unreadable"]["severity"] == "error"

    elsewhere = here.folder / "elsewhere"
    pki.initialize(elsewhere, ["x.example"], now=now_ms())
    crl.write_bytes((elsewhere / "crl.pem").read_bytes())
    assert found(here)["client_crl_of_other_ca"]["severity"] == "error"
    crl.write_bytes(good)
    assert found(here) == {}


@pytest.mark.case(29)
def test_a_revocation_list_that_expired_is_signed_anew(here: Any) -> None:
    ask_for_certificates(here)
    certs = here.folder / "certs"
    serial = here.ok("cert", "issue", "dock")["serial"]
    here.ok("cert", "revoke", serial, "--yes")
    expire(certs)
    finding = found(here)["client_crl_expired"]
    assert (finding["severity"], finding["fix"]) == ("error", "dockgate doctor --fix")
    assert mended(here) == [f"{certs / 'crl.pem'}: signed anew"]
    assert found(here) == {}
    assert [entry.serial for entry in pki.inspect_crl(certs / "crl.pem", now=now_ms()).revoked] == [serial]


def expire(certs: Path) -> None:
    """A list as other tools make them, with an end."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    old = x509.load_pem_x509_crl((certs / "crl.pem").read_bytes())
    key: Any = serialization.load_pem_private_key((certs / "ca.key").read_bytes(), password=None)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(old.issuer)
        .last_update(datetime.now(UTC) - timedelta(days=9))
        .next_update(datetime.now(UTC) - timedelta(days=1))
        .add_extension(x509.CRLNumber(7), critical=False)
    )
    for entry in old:
        builder = builder.add_revoked_certificate(entry)
    (certs / "crl.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def test_revoked_ones_that_still_get_in(here: Any) -> None:
    ask_for_certificates(here, crl=False)
    serial = here.ok("cert", "issue", "dock")["serial"]
    assert found(here) == {}
    here.ok("cert", "revoke", serial, "--yes")
    finding = found(here)["client_crl_unused"]
    assert finding["severity"] == "error"
    assert "crlfile" in finding["fix"]


def test_client_certificates_that_run_out(here: Any) -> None:
    pki.issue_client(here.folder / "certs", "dock", now=now_ms() - 380 * DAY_MS)
    finding = found(here)["client_certificate_expiring"]
    assert finding["fix"] == "dockgate cert issue dock --replace"
    here.ok("cert", "issue", "dock", "--replace")
    assert found(here) == {}


def test_an_authority_of_clients_that_expired(here: Any) -> None:
    ask_for_certificates(here, crl=False)
    edit(here, "cafile: certs/ca.pem", "cafile: old/ca.pem")
    pki.initialize(here.folder / "old", ["x.example"], now=now_ms() - 3700 * DAY_MS)
    assert found(here)["client_ca_expired"]["severity"] == "error"
    shutil.rmtree(here.folder / "old")
    pki.initialize(here.folder / "old", ["x.example"], now=now_ms() - 3630 * DAY_MS)
    assert found(here)["client_ca_expiring"]["severity"] == "warning"


# -- what the database says


def test_a_placeholder_in_the_license(here: Any) -> None:
    here.write(
        licenses.put,
        license=License(
            organization_id=None, app_id="Please enter the app id.", app_key="k", app_license="l",
            ntp_server_host="127.0.0.1", ntp_server_port=123, changed_at=1,
        ),
    )  # fmt: skip
    assert found(here)["license_placeholder"]["severity"] == "error"


def test_passwords_that_can_be_guessed(here: Any) -> None:
    edit(here, "    # lockout_failures: 10", "    lockout_failures: 0")
    assert found(here) == {}
    edit(here, "    # address_failures: 50", "    address_failures: 0")
    assert found(here)["lockout_off"]["severity"] == "warning"


@pytest.mark.case("C6")
def test_why_a_dock_stopped_comes_from_its_story(here: Any) -> None:
    here.write(devices.see_gateway, SN, now=now_ms())
    here.write(devices.flush_presence, [Presence(SN, now_ms(), online=False, access_step=AccessStep.LICENSED)])
    assert "not accepted" in found(here)["dock_not_bound"]["what"]
    at = now_ms() - 60_000
    told = [
        Entry(at, "dock", "connect", SN, "ok", {"address": "192.0.2.7"}),
        Entry(at + 100, "dock", "config", SN, "ok", {"organization_id": None}),
        Entry(at + 900, "dock", "disconnect", SN, "ok", {"reason": "closed"}),
    ]
    here.write(audit.append, told)
    finding = found(here)["dock_not_bound"]
    assert "it does not accept it" in finding["what"]
    assert finding["fix"] == "dockgate license show"

    shown = here.ok("dock", "show", SN)
    (attempt,) = shown["attempts"]
    assert [step["step"] for step in attempt["steps"]] == ["connect", "config", "disconnect"]
    text = here.run("dock", "show", SN).out
    assert "logged in as dock from 192.0.2.7" in text
    assert f"dockgate --config {here.config} license show" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if str(here.config) not in line) <= 80


# -- time servers


@contextmanager
def time_server(offset_s: float, *, answers: bool = True) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    asked, peer = server.recvfrom(512)
                except OSError:
                    return
                if not asked:
                    return
                now = time.time() + offset_s + outside._NTP_EPOCH
                stamp = struct.pack("!II", int(now), int(now % 1 * 2**32))
                server.sendto((b"\x24\x02" if answers else b"\x24\x00") + bytes(38) + stamp, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.getsockname())
            thread.join()


@pytest.mark.parametrize(
    ("offset_s", "answers", "kind"),
    [(0, True, None), (100, True, "clock_off"), (-100, True, "clock_off"), (0, False, "ntp_unreachable")],
)
def test_time_servers_only_when_asked(here: Any, offset_s: float, answers: bool, kind: str | None) -> None:
    with time_server(offset_s, answers=answers) as port:
        here.write(
            licenses.put,
            license=License(
                organization_id=None, app_id="1", app_key="k", app_license="l", ntp_server_host="127.0.0.1",
                ntp_server_port=port, changed_at=1,
            ),
        )  # fmt: skip
        assert found(here) == {}
        assert set(found(here, "--network")) == ({kind} if kind else set())


def test_a_time_server_that_is_not_there(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        outside, "ntp_offset", lambda host, _port: asked.append(host) or (_ for _ in ()).throw(TimeoutError())
    )
    assert found(here) == {}
    assert asked == []
    assert "does not answer" in found(here, "--network")["ntp_unreachable"]["what"]
    assert asked == ["127.0.0.1"]


# -- from the outside


@pytest.mark.case(8)
def test_an_address_as_a_dock_sees_it(here: Any, outside: Any) -> None:
    ca = str(here.folder / "certs/ca.pem")
    with Served(here.config) as gateway:
        tls, plain = gateway.ready().port("tls"), gateway.port("plain")
        before = len(here.ok("audit", "list"))
        ended = outside.bare("-o", "json", "doctor", "--address", f"127.0.0.1:{tls}", "--ca", ca)
        assert (ended.code, ended.json["findings"]) == (0, [])
        assert [(step["name"], step["ok"]) for step in ended.json["steps"]] == [
            ("connect", True), ("tls", True), ("trust", True), ("login", True),
        ]  # fmt: skip
        assert outside.bare("doctor", "--address", f"127.0.0.1:{tls}", "--ca", ca).out.endswith("nothing found\n")

        told = found(outside, "--address", f"127.0.0.1:{tls}")
        assert told["certificate_not_trusted"]["severity"] == "warning"
        told = found(outside, "--address", f"127.0.0.1:{plain}", "--plain")
        assert told == {}
        told = found(outside, "--address", f"127.0.0.1:{plain}")
        assert set(told) == {"tls_failed"}
        assert "--plain" in told["tls_failed"]["fix"]
        told = found(outside, "--address", f"127.0.0.1:{tls}", "--plain")
        assert set(told) == {"login_failed"}
        assert len(here.ok("account", "list")) == 1, "no account was made for it"
        assert len(here.ok("audit", "list")) >= before


@pytest.mark.case(8)
def test_an_address_where_nothing_is(outside: Any) -> None:
    told = found(outside, "--address", f"127.0.0.1:{free_port()}")
    assert "firewall" in told["connect_failed"]["fix"]
    told = found(outside, "--address", "no-such-host.invalid:8883")
    assert "cannot be resolved" in told["connect_failed"]["what"]
    assert outside.bare("doctor", "--address", "a:b:c:d").code == 2


@pytest.mark.case(21)
def test_an_address_where_everybody_gets_in(outside: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1024)
                client.sendall(b"\x20\x02\x00\x00")
                client.recv(1024)

        threading.Thread(target=serve, daemon=True).start()
        told = found(outside, "--address", f"127.0.0.1:{server.getsockname()[1]}", "--plain")
    assert told["anybody_logs_in"]["severity"] == "error"


def test_names_and_dates_from_the_outside(outside: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("elsewhere.example", not_after=datetime.now(UTC) + timedelta(days=3))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet(client: socket.socket) -> None:
            with client, suppress(OSError), context.wrap_socket(client, server_side=True) as secure:
                secure.recv(1024)

        def serve() -> None:
            for _ in range(2):
                threading.Thread(target=greet, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        told = found(outside, "--address", address, "--ca", str(tmp_path / "ca.pem"))
    assert {"certificate_names", "certificate_expiring", "certificate_not_trusted", "login_failed"} <= set(told)
    assert "other names" in told["certificate_not_trusted"]["what"]


@pytest.mark.parametrize(
    "words", [["--ca", "x"], ["--plain"], ["--address", "h:1", "--fix"], ["--address", "h:1", "--network"]]
)
def test_words_that_do_not_go_together(dockgate: Any, words: list[str]) -> None:
    assert dockgate.run("doctor", *words).code == 2


def test_generated_passwords_are_never_shown(here: Any) -> None:
    made = passwords.generate()
    (here.folder / "health.password").write_text(made)
    for ended in (here.run("doctor"), here.run("-o", "json", "doctor", "--fix")):
        assert made not in ended.out + ended.err
