"""Measure dockgate beside what else could do its work: scenarios and systems on the command line, tables and a JSON file out.

Each system runs pinned to one core and the generator to another, one system at a time, in turn, a fresh one for each
measurement. Everything stays on the loopback, has a bound in count and in time, and is ended by its process id.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

# The packages of this clone, whatever else is installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plans import SCENARIOS, SIZES, Plan, Size, plans, size_of
from plot import svg
from report import curves, gathered, report
from seeds import plant
from systems import DEFAULT, SYSTEMS, Seeds, System, make, missing
from systems.base import BENCH, ROOT, cores, environment, on_core

# On the scale a comparison with one is enough; the others would take hours
_SCALE_SYSTEMS = ("dockgate", "mosquitto-paho")
_GENERATOR_S = 900.0
_LOOSE_S = 30.0


def main(words: Sequence[str] | None = None) -> int:
    wanted = _wanted(words)
    if wanted.show:
        print(report([run for file in wanted.show for run in json.loads(file.read_text(encoding="utf-8"))["runs"]]))
        return 0
    size = size_of(wanted.size)
    lacking = [lack for name in _systems_of(wanted) if (lack := missing(name)) is not None]
    if lacking:
        print(f"to be installed, or left out with --systems: {'; '.join(dict.fromkeys(lacking))}", file=sys.stderr)
        return 2
    server, generator = cores()
    if server == generator:
        print("there is one core only: server and generator share it, and figures say little", file=sys.stderr)
    # 5,000 docks are as many files, in the generator and in each system
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder = wanted.work.resolve()
    try:
        seeds = plant(folder, size.docks, durable=wanted.peers_durable)
        runs = list(_measure(wanted, size, seeds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _keep(wanted, runs)
    print(report(runs))
    return 1 if any("error" in run for run in runs) else 0


def _wanted(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)}; default: all of them")
    parser.add_argument(
        "--systems", type=lambda text: text.split(","), default=None, metavar="A,B", help=f"of {', '.join(SYSTEMS)}"
    )
    parser.add_argument("--runs", type=int, default=None, help="how often each is measured")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", help="the same as --size quick")
    parser.add_argument(
        "--peers-durable",
        action="store_true",
        help="the databases beside the other systems wait for the disk at each binding (synchronous=FULL), as dockgate's does",
    )
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="where the runs are kept, as JSON")
    parser.add_argument("--plot", type=Path, default=None, metavar="FILE", help="where the scale is drawn, as SVG")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build" / "bench", help="a folder for this run, removed after it"
    )
    parser.add_argument(
        "--show", type=Path, nargs="+", default=None, metavar="FILE", help="print kept runs; measure nothing"
    )
    wanted = parser.parse_args(words)
    wanted.scenario = wanted.scenario or list(SCENARIOS)
    for what, named, known in (("scenario", wanted.scenario, SCENARIOS), ("system", wanted.systems or (), SYSTEMS)):
        unknown = [name for name in named if name not in known]
        if unknown:
            parser.error(f"no such {what}: {', '.join(unknown)}; there are {', '.join(known)}")
    return wanted


def _systems_of(wanted: argparse.Namespace, scenario: str | None = None) -> Sequence[str]:
    if wanted.systems:
        return list(wanted.systems)
    only_scale = scenario == "scale" or (scenario is None and wanted.scenario == ["scale"])
    return _SCALE_SYSTEMS if only_scale else DEFAULT


def _measure(wanted: argparse.Namespace, size: Size, seeds: Seeds) -> Iterator[dict[str, Any]]:
    """Every system in turn, then all of them again; each round begins with another one."""
    rounds = wanted.runs or size.runs
    for scenario in wanted.scenario:
        systems = _systems_of(wanted, scenario)
        for number in range(rounds):
            turn = number % len(systems)
            for plan in plans(scenario, size):
                for name in (*systems[turn:], *systems[:turn]):
                    yield _one(plan, name, number, size, seeds)


def _one(plan: Plan, name: str, number: int, size: Size, seeds: Seeds) -> dict[str, Any]:
    at = "" if plan.connections is None else f" with {plan.connections:,} connections"
    print(f"run {number + 1}: {plan.name}{at}: {name} ... ", end="", file=sys.stderr, flush=True)
    run: dict[str, Any] = {
        "plan": plan.name,
        "connections": plan.connections,
        "system": name,
        "run": number + 1,
        "options": plan.options,
    }
    try:
        with make(name, seeds) as system:
            run["result"] = _generate(plan, system, size, seeds)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        run["error"] = str(error)
        print(f"failed: {error}", file=sys.stderr)
    else:
        print("done", file=sys.stderr)
    return run


def _generate(plan: Plan, system: System, size: Size, seeds: Seeds) -> dict[str, Any]:
    told = {
        "scenario": plan.scenario,
        "options": plan.options,
        "fleet": str(seeds.fleet),
        "ca": str(seeds.ca),
        "pids": system.pids,
        "port": system.port,
        "tls_port": system.tls_port,
        "limit_s": size.limit_s,
    }
    with on_core(cores()[1]):
        generator = subprocess.Popen(
            [sys.executable, "-m", "load"],
            cwd=BENCH,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        out, err = generator.communicate(json.dumps(told), timeout=_GENERATOR_S)
    finally:
        if generator.poll() is None:
            generator.kill()
            generator.communicate()
    if generator.returncode:
        raise RuntimeError(f"the generator failed: {err.strip().splitlines()[-1] if err.strip() else ''}")
    result: dict[str, Any] = json.loads(out)
    return result


def _keep(wanted: argparse.Namespace, runs: list[dict[str, Any]]) -> None:
    for file in (wanted.out, wanted.plot):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
    if wanted.out is not None:
        kept = {
            "scenarios": wanted.scenario,
            "size": wanted.size,
            "peers_durable": wanted.peers_durable,
            "cores": os.cpu_count(),
            "versions": _versions(),
            "runs": runs,
        }
        wanted.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if wanted.plot is not None:
        wanted.plot.write_text(svg(curves(gathered(runs))), encoding="utf-8")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("amqtt", "uvloop", "paho-mqtt", "aiomqtt", "aiosqlite"):
        found[package] = version(package)
    for name, command in (("node", ["node", "--version"]), ("mosquitto", ["mosquitto", "-h"])):
        if shutil.which(name):
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LOOSE_S, check=False)
            found[name] = done.stdout.splitlines()[0].removeprefix("mosquitto version ")
    locked = BENCH / "aedes" / "package-lock.json"
    packages = json.loads(locked.read_text(encoding="utf-8"))["packages"]
    found.update({name: packages[f"node_modules/{name}"]["version"] for name in ("aedes", "better-sqlite3")})
    return found


if __name__ == "__main__":
    sys.exit(main())
