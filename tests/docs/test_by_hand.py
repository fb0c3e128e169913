"""docs/protocol.md, "By hand", typed as it stands there: Debian's mosquitto clients, over TLS, against what ``init`` made."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
_BLOCK = re.compile(r"<!-- by hand: (?P<what>[^\n]*?) -->\n```sh\n(?P<text>.*?)```", re.DOTALL)


class Block(NamedTuple):
    """``prints``: what the reply has to hold; "" for a block that asks nothing."""

    text: str
    prints: str


def blocks() -> tuple[str, list[Block]]:
    """The settings, and what is run after them."""
    settings, runs = "", []
    for match in _BLOCK.finditer(PROTOCOL.read_text(encoding="utf-8")):
        if match["what"] == "settings":
            settings = match["text"]
        else:
            runs.append(Block(match["text"], match["what"].removeprefix("run").removeprefix(", prints ")))
    return settings, runs


def filled_in(settings: str, values: dict[str, str]) -> str:
    """Each assignment of the document, with the value that its reader would have put there."""
    names = [line.partition("=")[0] for line in settings.splitlines()]
    return "".join(f"{name}={shlex.quote(values[name])}\n" for name in names)


def replies_of(script: str, folder: Path) -> list[str]:
    """What each block prints, run one after the other in one shell, which ends at the first command that fails."""
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script], cwd=folder, capture_output=True, encoding="utf-8", timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    return done.stdout.split("\x1e")[:-1]


@pytest.fixture
def values(installation: Any, gateway: Any) -> dict[str, str]:
    card = installation.first["card"]
    return {
        "PASSWORD": card["password"],
        "CODE": card["binding_code"],
        "ORGANIZATION": card["organization_id"],
        "ACCOUNT": card["account"],
        "PORT": str(gateway.port("tls")),
        "CA": str(installation.ca),
    }


def test_the_whole_access_as_it_is_written(values: dict[str, str], installation: Any, tmp_path: Path) -> None:
    settings, runs = blocks()
    script = filled_in(settings, values) + "".join(f"{block.text}\nprintf '\\036'\n" for block in runs)
    said = replies_of(script, tmp_path)
    for block, reply in zip(runs, said, strict=True):
        assert block.prints in reply, block.text
        assert bool(reply.strip()) == bool(block.prints)
    shown = installation.dockgate("dock", "show", "7CTDM7100B1234")
    assert (shown["bound"], shown["callsign"], shown["organization_id"]) == (True, "Dock North", values["ORGANIZATION"])
    assert [child["sn"] for child in shown["children"]] == ["1581F6Q8D245H00A1B2C"]


def test_every_setting_and_every_method_of_the_access_is_there() -> None:
    settings, runs = blocks()
    asked = [method for block in runs for method in re.findall(r'"method":"(\w+)"', block.text)]
    assert set(asked) == {
        "config", "airport_bind_status", "airport_organization_get", "airport_organization_bind", "update_topo",
    }  # fmt: skip
    assert "PASSWORD=" in settings


def test_asking_and_fetching_in_turn_loses_nothing(values: dict[str, str], tmp_path: Path) -> None:
    """A session between two connections: 20 times, since a race would not show each time."""
    settings, runs = blocks()
    (subscribing,) = [block.text for block in runs if " -E" in block.text]
    asking = next(block.text for block in runs if "mosquitto_pub" in block.text and '"config"' in block.text)
    clients = runs[0].text
    rounds = (asking.replace('"tid":"h1"', f'"tid":"again-{number}"') + "printf '\\036'\n" for number in range(20))
    said = replies_of(filled_in(settings, values) + clients + subscribing + "".join(rounds), tmp_path)
    assert [f'"tid":"again-{number}"' in reply for number, reply in enumerate(said)] == [True] * 20


def test_a_reply_goes_to_nobody_else(values: dict[str, str], tmp_path: Path) -> None:
    """What the document warns of: a session that has subscribed gets its own reply first, though another asked before it."""
    settings, runs = blocks()
    (subscribing,) = [block.text for block in runs if " -E" in block.text]
    other, own = (
        next(block.text for block in runs if client in block.text) for client in ("mosquitto_rr -", "mosquitto_pub -c")
    )
    script = (
        filled_in(settings, values) + runs[0].text + subscribing + other + "printf '\\036'\n" + own + "printf '\\036'\n"
    )
    to_other, to_own = replies_of(script, tmp_path)
    assert '"tid":"rr1"' in to_other
    assert '"tid":"h1"' in to_own
