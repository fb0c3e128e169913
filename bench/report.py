"""Runs in, Markdown out: medians side by side, ratios to what they are compared with, and whether the targets are met. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from load.figures import slope

# plan, system -> figure -> its value in each run
Values = dict[tuple[str, str], dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A column: where it stands in a result, and what it is called."""

    path: str
    title: str


@dataclass(frozen=True, slots=True)
class Target:
    """dockgate's median against ``factor`` times that of ``system``; without a system against ``factor`` itself."""

    plan: str
    path: str
    at_least: bool
    factor: float
    system: str | None = None


COLUMNS: Final[dict[str, tuple[Figure, ...]]] = {
    "accesses-plain": (
        Figure("accesses_per_s", "accesses/s"),
        Figure("server_ms_per_access", "server CPU, ms each"),
        Figure("access.p50_ms", "p50 ms"),
        Figure("access.p99_ms", "p99 ms"),
        Figure("failed", "failed"),
        Figure("server_busy", "server's core"),
        Figure("generator_busy", "generator's core"),
    ),
    "latency": (
        Figure("alone.all.p50_ms", "1 dock: p50 ms"),
        Figure("alone.all.p99_ms", "p99 ms"),
        Figure("alone.reads.p50_ms", "reads p50"),
        Figure("alone.binds.p50_ms", "binds p50"),
        Figure("seldom.all.p50_ms", "many, seldom: p50 ms"),
        Figure("seldom.all.p99_ms", "p99 ms"),
        Figure("together.all.p50_ms", "many, together: p50 ms"),
        Figure("together.all.p99_ms", "p99 ms"),
    ),
    "reconnect": (
        Figure("join.seconds", "first time, s"),
        Figure("again.seconds", "again, s"),
        Figure("again.cpu_ms_per_dock", "server CPU, ms a dock"),
        Figure("not_let_in", "refused, lost, failed"),
        Figure("again.connected", "docks in the end"),
        Figure("memory_kb_per_dock", "KiB an idle dock"),
        Figure("again.generator_busy", "generator's core"),
    ),
    "telemetry": (
        Figure("alone.cpu_us_per_message", "CPU, µs a message"),
        Figure("with_requests.cpu_us_per_message", "with 50 requests/s"),
        Figure("with_requests.requests.all.p99_ms", "their p99 ms"),
        Figure("with_requests.delivery.p99_ms", "delivery p99 ms"),
        Figure("most.messages_per_s", "most, messages/s"),
        Figure("lost", "lost"),
        Figure("most.generator_busy", "generator's core"),
    ),
}
COLUMNS["accesses-tls"] = COLUMNS["accesses-plain"]

# What is looked at on the scale: one figure of each scenario
SCALED: Final = {
    "scale-accesses-plain": Figure("server_ms_per_access", "server CPU of an access, ms"),
    "scale-latency": Figure("seldom.all.p50_ms", "reply to a request, p50 ms"),
    "scale-reconnect": Figure("again.cpu_ms_per_dock", "server CPU of a reconnect over TLS, ms"),
    "scale-telemetry": Figure("alone.cpu_us_per_message", "server CPU of a message, µs"),
}
# The memory of the same reconnect
MEMORY: Final = Figure("memory_kb_per_dock", "memory of an idle TLS dock, KiB")

TARGETS: Final = (
    Target("accesses-plain", "accesses_per_s", at_least=True, factor=1.7, system="mosquitto-paho"),
    Target("accesses-plain", "accesses_per_s", at_least=True, factor=10, system="amqtt"),
    Target("accesses-tls", "accesses_per_s", at_least=True, factor=1.1, system="mosquitto-paho"),
    Target("accesses-tls", "accesses_per_s", at_least=True, factor=0.9, system="floor"),
    *(
        Target("latency", f"{load}.all.{share}_ms", at_least=False, factor=1, system="mosquitto-paho")
        for load in ("alone", "seldom", "together")
        for share in ("p50", "p99")
    ),
    Target("reconnect", "not_let_in", at_least=False, factor=0),
    Target("reconnect", "again.seconds", at_least=False, factor=0.8, system="mosquitto-paho"),
    Target("reconnect", "memory_kb_per_dock", at_least=False, factor=1, system="mosquitto-paho"),
    Target("telemetry", "with_requests.cpu_us_per_message", at_least=False, factor=1.5, system="mosquitto-paho"),
    Target("telemetry", "most.messages_per_s", at_least=True, factor=0.6, system="mosquitto-paho"),
    # with the console open at most 5 % more
    Target("telemetry", "alone.cpu_us_per_message", at_least=True, factor=0.952, system="dockgate-watched"),
    Target("telemetry", "lost", at_least=False, factor=0),
)
# How much more a message may cost with the most connections than with the fewest, when it is not to grow
_LEVEL: Final = 1.1
_OURS: Final = "dockgate"


def flatten(result: dict[str, Any], before: str = "") -> dict[str, float]:
    """Nested figures by dotted names; what is no number is left out."""
    flat: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{before}{name}."))
        elif isinstance(value, int | float):
            flat[f"{before}{name}"] = float(value)
    return flat


def gathered(runs: Iterable[dict[str, Any]]) -> Values:
    """Of runs that ended; a plan on the scale is called with its number of connections."""
    values: Values = {}
    for run in runs:
        if "error" in run:
            continue
        figures = flatten(run["result"])
        if run["plan"].endswith("telemetry"):
            figures["lost"] = sum(figures.get(f"{part}.lost", 0) for part in ("alone", "with_requests", "most"))
        name = run["plan"] if run["connections"] is None else f"{run['plan']}@{run['connections']}"
        for path, value in figures.items():
            values.setdefault((name, run["system"]), {}).setdefault(path, []).append(value)
    return values


def report(runs: Sequence[dict[str, Any]]) -> str:
    values = gathered(runs)
    parts = [_table(plan, values) for plan in COLUMNS if any(name == plan for name, _ in values)]
    parts += [_scale_table(values)] if any("@" in name for name, _ in values) else []
    parts += [_targets(values)]
    failed = [f"{run['system']}, {run['plan']}: {run['error']}" for run in runs if "error" in run]
    if failed:
        parts.append("Failed:\n\n" + "\n".join(f"- {line}" for line in failed))
    return "\n\n".join(part for part in parts if part)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(each: Sequence[float]) -> str:
    """The median, and the range when it was measured more than once."""
    middle = _number(median(each))
    return middle if min(each) == max(each) else f"{middle} ({_number(min(each))} to {_number(max(each))})"


def _rows(lines: Iterable[Sequence[str]], head: Sequence[str]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def _table(plan: str, values: Values) -> str:
    columns = COLUMNS[plan]
    lines = [
        [system, *(_cell(figures[column.path]) if column.path in figures else "" for column in columns)]
        for (name, system), figures in values.items()
        if name == plan
    ]
    return f"### {plan}\n\n" + _rows(lines, ["system", *(column.title for column in columns)])


def points(values: Values, plan: str, system: str, path: str) -> list[tuple[int, float]]:
    """(connections, median) of one figure on the scale."""
    found = []
    for (name, of), figures in values.items():
        at, _, connections = name.partition("@")
        if at == plan and of == system and connections and path in figures:
            found.append((int(connections), median(figures[path])))
    return sorted(found)


def curves(values: Values) -> list[tuple[str, dict[str, list[tuple[int, float]]]]]:
    """All that is drawn and listed: a title, and for each system its points."""
    systems = list(dict.fromkeys(system for name, system in values if "@" in name))
    wanted = [*SCALED.items(), ("scale-reconnect", MEMORY)]
    return [
        (figure.title, {system: points(values, plan, system, figure.path) for system in systems})
        for plan, figure in wanted
    ]


def _scale_table(values: Values) -> str:
    found = curves(values)
    counts = sorted({x for _, systems in found for line in systems.values() for x, _ in line})
    lines = []
    for title, systems in found:
        for system, line in systems.items():
            at = dict(line)
            grows = f"{slope(line):+.2f}" if len(line) > 1 and all(y > 0 for _, y in line) else ""
            lines.append([title, system, *(_number(at[count]) if count in at else "" for count in counts), grows])
    return "### scale\n\n" + _rows(lines, ["connections", "system", *(f"{count:,}" for count in counts), "slope"])


def _targets(values: Values) -> str:
    lines = [line for target in TARGETS if (line := _judged(target, values)) is not None]
    level = points(values, "scale-telemetry", _OURS, SCALED["scale-telemetry"].path)
    if len(level) > 1:
        ratio = level[-1][1] / level[0][1]
        asked = f"at {level[-1][0]:,} docks at most {_LEVEL:g} times that at {level[0][0]:,}"
        lines.append(["scale", SCALED["scale-telemetry"].title, f"{ratio:.2f}", asked, _verdict(met=ratio <= _LEVEL)])
    head = ["scenario", "figure", "dockgate", "target", ""]
    return "### targets\n\n" + _rows(lines, head) if lines else ""


def _judged(target: Target, values: Values) -> list[str] | None:
    ours = values.get((target.plan, _OURS), {}).get(target.path)
    title = next(column.title for column in COLUMNS[target.plan] if column.path == target.path)
    loads = {"alone": "1 dock: ", "seldom": "many, seldom: ", "together": "many, together: "}
    if target.plan == "latency":
        load, _, _ = target.path.partition(".")
        title = loads[load] + title.removeprefix(loads[load])
    word = "at least" if target.at_least else "at most"
    if ours is None:
        return None
    if target.system is None:
        value = max(ours)
        met = value <= target.factor
        return [target.plan, title, _number(value), f"{word} {target.factor:g} in each run", _verdict(met=met)]
    theirs = values.get((target.plan, target.system), {}).get(target.path)
    if theirs is None or not median(theirs):
        return None
    ratio = median(ours) / median(theirs)
    met = ratio >= target.factor if target.at_least else ratio <= target.factor
    return [target.plan, title, f"{ratio:.2f} x", f"{word} {target.factor:g} x {target.system}", _verdict(met=met)]


def _verdict(*, met: bool) -> str:
    return "met" if met else "**not met**"
