"""``cert``: certificates of the own CA and of others, the revocation list, and that a running gateway takes them over."""

from __future__ import annotations

import shutil
import socket
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway import pki
from gateway.cli.times import now_ms
from gateway.store import state
from gateway.store.state import GatewayState
from tests.integration.process import Served

KEYS = {
    "subject", "sans", "issuer", "own", "not_before", "not_after", "days_left", "serial", "fingerprint_sha256", "file", "key_file",
}  # fmt: skip
PASSWORD = "a password for a file"


def actions(dockgate: Any) -> list[str]:
    return [entry["action"] for entry in dockgate.ok("audit", "list")]


def edit(dockgate: Any, old: str, new: str) -> None:
    text = dockgate.config.read_text()
    assert text.count(old) == 1, old
    dockgate.config.write_text(text.replace(old, new))


def ask_for_certificates(dockgate: Any) -> None:
    for line in ("cafile: certs/ca.pem", "crlfile: certs/crl.pem", "client_auth: optional"):
        edit(dockgate, f"    # {line}", f"    {line}")


class TestShow:
    def test_the_servers(self, dockgate: Any) -> None:
        found = dockgate.ok("cert", "show")
        assert set(found) == KEYS
        assert found["sans"] == ["192.0.2.10", "localhost", "127.0.0.1", "::1"]
        assert found["own"] is True
        assert found["days_left"] in range(390, 397)
        assert found["file"] == str(dockgate.folder / "certs/server.pem")
        info = pki.inspect(dockgate.folder / "certs/server.pem", now=now_ms())
        assert (found["serial"], found["fingerprint_sha256"]) == (info.serial, info.fingerprint_sha256)
        shown = dockgate.run("cert", "show")
        assert (shown.code, shown.err) == (0, "")
        assert "days left" in shown.out

    def test_a_clients(self, dockgate: Any) -> None:
        made = dockgate.ok("cert", "issue", "dock")
        assert dockgate.ok("cert", "show", "dock") == made
        absent = dockgate.run("-o", "json", "cert", "show", "nobody")
        assert (absent.code, absent.error["hint"]) == (3, "dockgate cert issue nobody")
        assert dockgate.run("cert", "show", "../ca").code == 2


class TestIssue:
    def test_pem_files_for_an_account(self, dockgate: Any) -> None:
        dockgate.ok("account", "add", "dock-7", "--role", "dock", "--sn", "7CTDM7100B1234")
        made = dockgate.ok("cert", "issue", "dock-7")
        assert set(made) == KEYS
        assert (made["subject"], made["own"]) == ("CN=dock-7", True)
        assert stat.S_IMODE(Path(made["key_file"]).stat().st_mode) == 0o600
        pki.check_pair(Path(made["file"]), Path(made["key_file"]), now=now_ms())
        entry = dockgate.ok("audit", "list", "--dock", "7CTDM7100B1234")[-1]
        assert (entry["action"], entry["target"], entry["detail"]["serial"]) == ("cert.issue", "dock-7", made["serial"])

    def test_again_only_when_told_so(self, dockgate: Any) -> None:
        first = dockgate.ok("cert", "issue", "dock")
        refused = dockgate.run("-o", "json", "cert", "issue", "dock")
        assert (refused.code, refused.error["hint"]) == (4, "dockgate cert issue dock --replace")
        second = dockgate.ok("cert", "issue", "dock", "--replace")
        assert first["serial"] != second["serial"]
        states = {row["serial"]: row["state"] for row in dockgate.ok("cert", "list")}
        assert (states[first["serial"]], states[second["serial"]]) == ("replaced", "in use")

    def test_what_is_missing_to_use_it_is_said(self, dockgate: Any) -> None:
        ended = dockgate.run("cert", "issue", "stranger")
        assert ended.code == 0
        assert "no listener asks for client certificates" in ended.err
        assert "account add stranger --role dock" in ended.err
        ask_for_certificates(dockgate)
        assert dockgate.run("cert", "issue", "dock").err == ""

    def test_pkcs12(self, dockgate: Any, tmp_path: Path) -> None:
        file = tmp_path / "dock.p12"
        made = dockgate.ok("cert", "issue", "dock", "--p12", str(file), "--password-stdin", stdin=f"{PASSWORD}\n")
        assert made["p12"] == str(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert b"PRIVATE" not in file.read_bytes()
        for password, code in ((PASSWORD, 0), ("another one", 1)):
            opened = subprocess.run(
                ["openssl", "pkcs12", "-in", str(file), "-nodes", "-passin", "stdin"],
                input=password,
                capture_output=True,
                text=True,
                check=False,
            )
            assert opened.returncode == code, opened.stderr
            assert opened.stdout.count("BEGIN CERTIFICATE") == (2 if code == 0 else 0)
            assert opened.stdout.count("BEGIN PRIVATE KEY") == (1 if code == 0 else 0)

    @pytest.mark.parametrize(
        ("words", "stdin", "code"),
        [
            (["--password-stdin"], PASSWORD, 2),
            (["--p12", "f.p12"], "", 2),
            (["--p12", "f.p12", "--password-stdin"], "", 2),
            (["--p12", "f.p12", "--password-stdin"], "short", 2),
            (["--p12", "broker.yaml", "--password-stdin"], PASSWORD, 4),
        ],
    )
    def test_nothing_is_made_when_the_words_are_off(
        self, dockgate: Any, words: list[str], stdin: str, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(dockgate.folder)
        ended = dockgate.run("cert", "issue", "dock", *words, stdin=stdin)
        assert ended.code == code
        assert "leave the option out" not in ended.err
        assert not (dockgate.folder / "certs/clients").exists()

    def test_a_password_asked_for_on_a_terminal(self, dockgate: Any) -> None:
        file = dockgate.folder / "dock.p12"
        typed = [("Password:", PASSWORD), ("Again:", PASSWORD)]
        code, shown = dockgate.terminal("cert", "issue", "dock", "--p12", str(file), typed=typed)
        assert code == 0, shown
        assert PASSWORD not in shown
        assert file.is_file()

    @pytest.mark.parametrize("name", ["../dock", "", "a b", ".hidden", "x" * 65])
    def test_names_that_cannot_be_files(self, dockgate: Any, name: str) -> None:
        assert dockgate.run("cert", "issue", name).code == 2


class TestRenew:
    def test_the_same_names_and_key(self, dockgate: Any) -> None:
        before = dockgate.ok("cert", "show")
        key = (dockgate.folder / "certs/server.key").read_bytes()
        made = dockgate.ok("cert", "renew")
        assert set(made) == {*KEYS, "warnings", "reloaded"}
        assert (made["sans"], made["reloaded"]) == (before["sans"], None)
        assert made["serial"] != before["serial"]
        assert (dockgate.folder / "certs/server.key").read_bytes() == key
        assert actions(dockgate)[-1] == "cert.renew"
        assert "uses it when it starts" in dockgate.run("cert", "renew").err

    def test_other_names_and_key(self, dockgate: Any) -> None:
        key = (dockgate.folder / "certs/server.key").read_bytes()
        made = dockgate.ok("cert", "renew", "--host", "dock.example.org", "--host", "198.51.100.7", "--new-key")
        assert made["sans"] == ["dock.example.org", "198.51.100.7", "localhost", "127.0.0.1", "::1"]
        assert (dockgate.folder / "certs/server.key").read_bytes() != key
        assert dockgate.run("cert", "renew", "--host", "not a host").code == 2

    def test_not_one_that_no_listener_reads(self, dockgate: Any) -> None:
        shutil.copytree(dockgate.folder / "certs", dockgate.folder / "other")
        edit(dockgate, "certfile: certs/server.pem", "certfile: other/x.pem")
        before = (dockgate.folder / "certs/server.pem").read_bytes()
        refused = dockgate.run("-o", "json", "cert", "renew")
        assert refused.code == 5
        assert "other/x.pem" in refused.error["message"]
        assert (dockgate.folder / "certs/server.pem").read_bytes() == before

    @pytest.mark.case(36)
    def test_a_directory_that_cannot_be_written(self, dockgate: Any) -> None:
        before = dockgate.ok("cert", "show"), actions(dockgate)
        issued = dockgate.folder / "certs" / "issued"
        shutil.rmtree(issued)
        issued.write_text("a file where the directory has to go")
        assert dockgate.run("cert", "renew").code == 6
        issued.unlink()
        after = dockgate.ok("cert", "show"), actions(dockgate)
        assert {**after[0], "own": True} == before[0]
        assert after[1] == before[1]


class Foreign:
    def __init__(self, folder: Path, *names: str) -> None:
        authority = trustme.CA(organization_name="Elsewhere")
        made = authority.issue_cert(*names)
        self.chain, self.key, self.ca = folder / "chain.pem", folder / "key.pem", folder / "foreign.pem"
        self.chain.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems) + authority.cert_pem.bytes())
        self.key.write_bytes(made.private_key_pem.bytes())
        self.ca.write_bytes(authority.cert_pem.bytes())

    @property
    def words(self) -> tuple[str, ...]:
        return ("cert", "import", "--chain", str(self.chain), "--key", str(self.key))


class TestImport:
    def test_a_chain_of_another_authority(self, dockgate: Any, tmp_path: Path) -> None:
        given = Foreign(tmp_path, "192.0.2.10", "dock.example.org")
        made = dockgate.ok(*given.words)
        assert (made["own"], made["warnings"]) == (False, [])
        assert dockgate.ok("cert", "show")["serial"] == made["serial"]
        assert [row["state"] for row in dockgate.ok("cert", "list") if row["kind"] == "server"] == [
            "replaced",
            "in use",
        ]
        entry = dockgate.ok("audit", "list")[-1]
        assert (entry["action"], entry["detail"]["serial"]) == ("cert.import", made["serial"])
        refused = dockgate.run("-o", "json", "cert", "renew")
        assert (refused.code, refused.error["hint"]) == (5, "dockgate cert import --chain F --key F")
        assert dockgate.ok("check") == {"ok": True, "problems": []}

    def test_every_fault_is_told_and_nothing_changed(self, dockgate: Any, tmp_path: Path) -> None:
        given = Foreign(tmp_path, "elsewhere.example.org")
        given.key.write_bytes(trustme.CA().private_key_pem.bytes())
        before = (dockgate.folder / "certs/server.pem").read_bytes(), actions(dockgate)
        refused = dockgate.run("-o", "json", *given.words)
        assert refused.code == 5
        assert "is not the key" in refused.error["message"]
        assert "not for 192.0.2.10" in refused.error["message"]
        assert ((dockgate.folder / "certs/server.pem").read_bytes(), actions(dockgate)) == before

    def test_for_another_address_than_the_card_says(self, dockgate: Any, tmp_path: Path) -> None:
        given = Foreign(tmp_path, "dock.example.org")
        assert dockgate.run(*given.words).code == 5
        assert dockgate.ok(*given.words, "--host", "dock.example.org")["sans"] == ["dock.example.org"]

    def test_files_that_are_not_there(self, dockgate: Any, tmp_path: Path) -> None:
        given = Foreign(tmp_path, "192.0.2.10")
        given.key.unlink()
        assert dockgate.run(*given.words).code == 3
        given.key.write_text("no key")
        assert dockgate.run(*given.words).code == 7


class TestRevoke:
    def test_it_is_on_the_list(self, dockgate: Any) -> None:
        made = dockgate.ok("cert", "issue", "dock")
        done = dockgate.ok("cert", "revoke", made["serial"], "--yes")
        assert (done["serial"], done["revoked"], done["reloaded"]) == (made["serial"], True, None)
        crl = pki.inspect_crl(dockgate.folder / "certs/crl.pem", now=now_ms())
        assert [entry.serial for entry in crl.revoked] == [made["serial"]]
        (row,) = [row for row in dockgate.ok("cert", "list") if row["serial"] == made["serial"]]
        assert row["state"] == "revoked"
        assert row["revoked_at"]
        assert actions(dockgate)[-1] == "cert.revoke"
        again = dockgate.ok("cert", "revoke", f"0x{made['serial'].upper()}", "--yes")
        assert again["serial"] == made["serial"]

    def test_unknown_and_unreadable(self, dockgate: Any) -> None:
        before = (dockgate.folder / "certs/crl.pem").read_bytes()
        assert dockgate.run("cert", "revoke", "abcdef", "--yes").code == 3
        assert dockgate.run("cert", "revoke", "not-hex", "--yes").code == 2
        assert (dockgate.folder / "certs/crl.pem").read_bytes() == before

    def test_a_list_that_nobody_looks_at_is_said(self, dockgate: Any) -> None:
        serial = dockgate.ok("cert", "issue", "dock")["serial"]
        ended = dockgate.run("cert", "revoke", serial, "--yes")
        assert "no listener looks at revoked certificates" in ended.err
        ask_for_certificates(dockgate)
        assert "no listener looks" not in dockgate.run("cert", "revoke", serial, "--yes").err

    def test_asks_on_a_terminal(self, dockgate: Any) -> None:
        serial = dockgate.ok("cert", "issue", "dock")["serial"]
        code, shown = dockgate.terminal("cert", "revoke", serial, typed=[("[y/N]", "n")])
        assert code == 5, shown
        assert not pki.inspect_crl(dockgate.folder / "certs/crl.pem", now=now_ms()).revoked


def test_list_shows_days_left_within_80_columns(dockgate: Any) -> None:
    dockgate.ok("cert", "issue", "d" * 64)
    rows = dockgate.ok("cert", "list")
    assert [row["kind"] for row in rows] == ["ca", "server", "client"]
    assert set(rows[0]) == {*KEYS, "kind", "name", "state", "revoked_at"}
    assert all(row["own"] for row in rows)
    shown = dockgate.run("cert", "list").out
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "days" in shown


def test_no_key_is_ever_shown(dockgate: Any) -> None:
    dockgate.ok("cert", "issue", "dock")
    secrets = [
        line
        for path in (dockgate.folder / "certs").rglob("*.key")
        for line in path.read_text().splitlines()
        if not line.startswith("-----")
    ]
    for words in (["cert", "show"], ["cert", "show", "dock"], ["cert", "list"], ["audit", "list"]):
        for ended in (dockgate.run(*words), dockgate.run("-o", "json", *words)):
            assert not any(secret in ended.out + ended.err for secret in secrets)


# -- a running gateway


@pytest.fixture
def ports(dockgate: Any) -> Any:
    ask_for_certificates(dockgate)
    edit(dockgate, "bind: 0.0.0.0:8883", "bind: 127.0.0.1:0")
    edit(dockgate, "bind: 127.0.0.1:1883", "bind: 127.0.0.1:0")
    return dockgate


def shake_hands(port: int, ca: Path, *, client: tuple[str, str] | None = None) -> str:
    """The fingerprint of what the listener shows; an error when it does not let us in."""
    context = ssl.create_default_context(cafile=str(ca))
    if client is not None:
        context.load_cert_chain(*client)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        # A refused client certificate is told with TLS 1.3 only after the handshake; this packet is answered otherwise
        secure.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x1e\x00\x00")
        if not secure.recv(4):
            raise ConnectionError("closed")
        return pki.describe_der(secure.getpeercert(binary_form=True) or b"", now=now_ms()).fingerprint_sha256


@pytest.mark.case(28)
@pytest.mark.case(29)
def test_a_running_gateway_takes_over_what_was_changed(ports: Any, tmp_path: Path) -> None:
    client = ports.ok("cert", "issue", "dock")
    files = (client["file"], client["key_file"])
    ca = ports.folder / "certs/ca.pem"
    with Served(ports.config, DOCKGATE__LOG__FORMAT="text") as gateway:
        port = gateway.ready().port("tls")
        first = shake_hands(port, ca, client=files)
        heard(ports, gateway.pid)

        renewed = ports.ok("cert", "renew")
        assert renewed["reloaded"] is True
        gateway.line("reload: new connections use the files")
        assert shake_hands(port, ca, client=files) == renewed["fingerprint_sha256"] != first

        gateway.lines.clear()
        assert ports.ok("cert", "revoke", client["serial"], "--yes")["reloaded"] is True
        gateway.line("reload: new connections use the files")
        with pytest.raises(OSError, match=r"(?i)revoked|closed|reset|eof"):
            shake_hands(port, ca, client=files)

        gateway.lines.clear()
        foreign = Foreign(tmp_path, "192.0.2.10", "127.0.0.1")
        imported = ports.ok(*foreign.words)
        assert imported["reloaded"] is True
        gateway.line("reload: new connections use the files")
        assert shake_hands(port, foreign.ca) == imported["fingerprint_sha256"]


def heard(dockgate: Any, pid: int) -> None:
    """Wait for the first heartbeat of that gateway."""
    while dockgate.ok("status")["pid"] != pid:
        continue


def test_no_signal_to_a_process_that_is_not_the_gateway(dockgate: Any) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            said = GatewayState(other.pid, now_ms() - 60_000, now_ms(), 0, {})
            dockgate.write(state.heartbeat, said)
            ended = dockgate.run("cert", "renew")
            assert f"kill -HUP {other.pid}" in ended.err
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.parametrize("traps", [True, False], ids=["catches it", "would end by it"])
def test_the_process_must_have_the_database_open_and_catch_the_signal(
    dockgate: Any, traps: bool, tmp_path: Path
) -> None:
    mark = tmp_path / "heard"
    waits = (
        f"trap 'touch {mark}; exit 0' HUP; echo; while :; do read -r -t 1 line || :; done"
        if traps
        else "echo; exec sleep 60"
    )
    script = f"exec 7<{dockgate.database}; {waits}"
    with subprocess.Popen(["bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            dockgate.write(state.heartbeat, GatewayState(other.pid, now_ms(), now_ms(), 0, {}))
            assert dockgate.ok("cert", "renew")["reloaded"] is traps
            if traps:
                assert other.wait(10) == 0
                assert mark.exists()
            else:
                assert other.poll() is None
        finally:
            other.kill()
