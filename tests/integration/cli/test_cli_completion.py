"""What a shell is told to complete, and what it is answered at a tab; the real bash is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(outside: Any, shell: str) -> None:
    ended = outside.bare("completion", shell)
    assert (ended.code, ended.err) == (0, "")
    assert "_DOCKGATE_COMPLETE=complete_" + shell in ended.out
    assert outside.bare("-o", "json", "completion", shell).json["shell"] == shell
    assert outside.bare("completion", "csh").code == 2


def answered(outside: Any, shell: str, typed: str) -> str:
    variables = {
        "bash": {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": typed},
        "fish": {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        outside.command()[:-2],
        capture_output=True,
        text=True,
        check=False,
        env=outside.environment(_DOCKGATE_COMPLETE=f"complete_{shell}", **variables),
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_options(outside: Any, shell: str) -> None:
    assert {"account", "audit"} <= set(answered(outside, shell, "dockgate a").replace('"', " ").split())
    assert "revoke" in answered(outside, shell, "dockgate cert rev")
    assert "renew" not in answered(outside, shell, "dockgate cert rev")
    assert "--password-stdin" in answered(outside, shell, "dockgate backup create --pa")


def test_the_real_bash(outside: Any, tmp_path: Path) -> None:
    script = tmp_path / "dockgate.bash"
    script.write_text(outside.bare("completion", "bash").out)
    program = tmp_path / "dockgate"
    program.write_text("#!/bin/sh\nexec " + " ".join(outside.command()[:-2]) + ' "$@"\n')
    program.chmod(0o755)
    typed = (
        f"source {script}; COMP_WORDS=(dockgate org co); COMP_CWORD=2; _dockgate_completion dockgate; "
        'echo "${COMPREPLY[@]}"; complete -p dockgate'
    )
    environment = outside.environment()
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", typed], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert done.stdout.splitlines() == ["code", "complete -o default -F _dockgate_completion dockgate"]
    assert done.stderr == ""
