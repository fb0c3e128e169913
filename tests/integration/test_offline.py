"""A site without the internet (cases 6): a dock gets its license at once, and the gateway does not even try to reach anybody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .process import ROOT, environment

CHILD = Path(__file__).with_name("offline_child.py")
# A network namespace of its own (unshare(1)); where a container forbids that, the sockets of the gateway alone are looked at.
ALONE = ("unshare", "--map-root-user", "--net")


@pytest.mark.case(6)
def test_nobody_is_called(installation: Any) -> None:
    installation.license(ntp_server_host="ntp.example")
    login = installation.account("dock-a")
    alone = subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0
    done = subprocess.run(
        [*(ALONE if alone else ()), sys.executable, str(CHILD), str(installation.config_file), str(installation.ca),
         login.password, installation.organization_id, installation.binding_code],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=environment(ALONE="1" if alone else "0"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ok"] == [True, True]
    assert result["steps"]["config"] < 1000
    assert result["peers"] == []
    if alone:
        assert (result["connects"], result["datagrams"]) == (2, 0)  # the dock's two, and no look-up of a name
