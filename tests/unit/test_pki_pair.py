"""A server certificate and its key change together, also when the change is killed: every moment leaves a pair that serves."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import pki
from gateway.pki import Layout

NOW = 1_800_000_000_000
CHANGE = """
import os, signal, sys
from pathlib import Path
from gateway import pki

seen = 0

def killed(event, about):
    global seen
    if event == "os.rename":
        seen += 1
        if seen == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(killed)
pki.renew_server(Path(sys.argv[1]), now=1_800_000_000_000, fresh_key=True)
"""


def serves(directory: Path) -> str:
    """The fingerprint of the certificate; raises ``ssl.SSLError`` where the key is another's."""
    layout = Layout(directory)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(layout.server, layout.server_key)
    return pki.inspect(layout.server, now=NOW).fingerprint_sha256


@pytest.mark.parametrize(("renames", "is_finished"), [(1, False), (2, False), (3, True)])
def test_a_change_that_was_killed_leaves_a_pair(tmp_path: Path, renames: int, *, is_finished: bool) -> None:
    """Three files take their place: the certificate that waits, the key, the certificate."""
    directory = tmp_path / "certs"
    pki.initialize(directory, ["gw.example"], now=NOW)
    before = serves(directory)
    done = subprocess.run([sys.executable, "-c", CHANGE, str(directory), str(renames)], check=False)
    assert done.returncode == -signal.SIGKILL
    if is_finished:
        with pytest.raises(ssl.SSLError):
            serves(directory)
    assert pki.settle(directory) is is_finished
    assert (serves(directory) != before) is is_finished
    assert not pki.settle(directory)
    assert not (directory / ".server.pem.next").exists()


def test_a_change_that_was_not_killed_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    pki.initialize(directory, ["gw.example"], now=NOW)
    before = serves(directory)
    pki.renew_server(directory, now=NOW, fresh_key=True)
    assert serves(directory) != before
    assert not pki.settle(directory)
    assert not list(directory.glob(".*"))
