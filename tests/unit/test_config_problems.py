"""What `dockgate check` finds in a configuration that can be loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.config.problems import SHIPPED_PLUGINS


def good_installation(directory: Path, **arguments: Any) -> Path:
    (directory / "certs").mkdir(parents=True)
    for name, mode in (("server.pem", 0o644), ("server.key", 0o600)):
        (directory / "certs" / name).touch(mode)
    (directory / "dockgate.db").touch()
    path = directory / "broker.yaml"
    path.write_text(config.render(**arguments), encoding="utf-8")
    path.chmod(0o644)
    return path


def problems_at(path: Path, **env: str) -> dict[str, str]:
    found = config.load(path, env).problems()
    assert all(problem.hint for problem in found)
    return {problem.where: problem.what for problem in found}


def test_a_fresh_installation_has_no_problems(tmp_path: Path) -> None:
    assert problems_at(good_installation(tmp_path / "d")) == {}


def test_files_that_are_missing_or_open_to_others(tmp_path: Path) -> None:
    path = good_installation(tmp_path / "d")
    (path.parent / "certs/server.pem").unlink()
    (path.parent / "certs/server.key").chmod(0o604)
    (path.parent / "dockgate.db").unlink()
    path.chmod(0o666)
    found = problems_at(path)
    assert "No such file" in found["listeners.tls.certfile"]
    assert "others than its owner" in found["listeners.tls.keyfile"]
    assert "does not exist" in found["database"]
    assert "anybody on this machine can change it" in found[str(path)]


def test_a_directory_in_the_place_of_a_file(tmp_path: Path) -> None:
    path = good_installation(tmp_path / "d")
    (path.parent / "certs/server.pem").unlink()
    (path.parent / "certs/server.pem").mkdir()
    found = problems_at(path, DOCKGATE__DATABASE="certs")
    assert "is not a file" in found["listeners.tls.certfile"]
    assert "is a directory" in found["database"]


def test_doors_that_are_open_to_the_world(tmp_path: Path) -> None:
    path = good_installation(tmp_path / "d", plain_bind="0.0.0.0:1883", admin_bind="[::]:8080")
    found = problems_at(path)
    assert "without TLS" in found["listeners.plain.bind"]
    assert "admin.bind" not in found  # with the certificate that docks are shown
    before, admin, section = path.read_text(encoding="utf-8").partition("\n  admin:\n")
    for pattern in ("keyfile", "certfile|keyfile"):
        path.write_text(before + admin + re.sub(rf"(?m)^    ({pattern}): .*\n", "", section), encoding="utf-8")
        found |= problems_at(path)
    assert "without TLS" in found["admin.bind"]
    assert "belong together" in found["admin"]


def test_two_doors_on_one_port(tmp_path: Path) -> None:
    path = good_installation(tmp_path / "d", plain_bind="127.0.0.1:8883", admin_bind="127.0.0.1:8883")
    found = problems_at(path)
    assert "taken by listeners.tls.bind" in found["listeners.plain.bind"]
    assert "taken by" in found["admin.bind"]
    other = good_installation(tmp_path / "e", tls_bind="0.0.0.0:0", plain_bind="127.0.0.1:0", admin_bind=None)
    assert problems_at(other) == {}


@pytest.mark.parametrize("name", SHIPPED_PLUGINS)
def test_a_plugin_of_ours_that_is_missing_is_told_with_what_is_lost(tmp_path: Path, name: str) -> None:
    path = good_installation(tmp_path / "d")
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if name not in line]
    path.write_text("\n".join(kept), encoding="utf-8")
    assert f"{name} is missing: {SHIPPED_PLUGINS[name]}" in problems_at(path)["plugins"]


def test_a_plugin_that_lets_everybody_in_is_told(tmp_path: Path) -> None:
    path = good_installation(tmp_path / "d")
    anonymous = "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:"
    path.write_text(path.read_text(encoding="utf-8").replace("plugins:", anonymous), encoding="utf-8")
    assert "without a password" in problems_at(path)["plugins"]
