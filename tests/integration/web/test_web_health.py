"""Health, readiness and metrics: what a service manager, a load balancer and Prometheus are told; and the board and the alerts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway import pki
from gateway.operations.times import now_ms
from gateway.simulator import Target, make_profile, run_dock
from gateway.simulator.models import dock_model

ROOT = Path(__file__).parents[3]
BOARD = ROOT / "packaging" / "grafana" / "dockgate.json"
ALERTS = ROOT / "packaging" / "prometheus" / "alerts.yml"
DAY_MS = 86_400_000


def checks(site: Any) -> tuple[int, dict[str, Any]]:
    found = site.http().get("/readyz")
    body = found.json()
    assert body["ready"] == (found.status_code == 200)
    return found.status_code, {check["name"]: check for check in body["checks"]}


def ready(site: Any) -> Any:
    site.gateway.call(site.runtime.presence.flush())
    status, found = checks(site)
    assert status == 200, found
    assert set(found) == {"database", "migrations", "heartbeat", "listeners", "certificates"}
    return site


def test_ready(site: Any) -> None:
    ready(site)
    assert site.http().get("/healthz").json() == {"ok": True}


def test_not_ready_while_the_certificate_does_not_count(site: Any) -> None:
    certs = ready(site).installation.folder / "certs"
    for path in [*certs.glob("*.pem"), *certs.glob("*.key")]:
        path.unlink()
    pki.initialize(certs, ["localhost"], now=now_ms() - 800 * DAY_MS)
    status, found = checks(site)
    assert status == 503
    assert "has expired" in found["certificates"]["detail"]
    assert found["certificates"]["detail"].startswith("listener tls")
    (certs / "server.pem").unlink()
    assert checks(site)[0] == 503
    assert site.http().get("/healthz").status_code == 200


def test_not_ready_while_nothing_is_written(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(site)
    context = site.gateway.admin.context
    later = now_ms() + 60_000
    monkeypatch.setattr(type(context), "now", property(lambda _: later))
    status, found = checks(site)
    assert status == 503
    assert "s old" in found["heartbeat"]["detail"]


def test_not_ready_when_a_newer_dockgate_has_the_database(site: Any) -> None:
    ready(site)
    site.gateway.call(site.runtime.services.store.write(lambda db: db.execute("PRAGMA user_version=99") and None))
    status, found = checks(site)
    assert status == 503
    assert "version 99" in found["migrations"]["detail"]


def test_not_ready_when_a_listener_is_closed(site: Any) -> None:
    ready(site)
    site.gateway.call(site.gateway.broker.listening.close())
    status, found = checks(site)
    assert status == 503
    assert sorted(found["listeners"]["detail"].removeprefix("not open: ").split(", ")) == ["plain", "tls"]


@pytest.mark.case(34)
def test_not_ready_when_the_database_is_damaged(site: Any) -> None:
    ready(site)
    integrity = site.gateway.admin._integrity
    assert integrity.problem == ""
    site.runtime.services.metrics.database.failures.add("database_damaged")
    status, found = checks(site)
    assert status == 503
    assert "dockgate db check" in found["database"]["detail"]
    site.runtime.services.metrics.database.failures.values.clear()
    integrity.problem = "page 7 is never used"
    assert checks(site)[1]["database"]["detail"] == "page 7 is never used"


def test_not_ready_without_a_database(site: Any) -> None:
    ready(site)
    site.gateway.call(site.runtime.services.store.close())
    status, found = checks(site)
    assert status == 503
    assert not any(found[name]["ok"] for name in ("database", "migrations", "heartbeat"))


# -- metrics


def families(site: Any) -> dict[str, Any]:
    found = site.http().get("/metrics")
    assert found.status_code == 200
    assert found.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(found.text)}


def value(family: Any, **labels: str) -> float:
    (found,) = [sample.value for sample in family.samples if labels.items() <= sample.labels.items()]
    return float(found)


def test_metrics_tell_what_has_happened(site: Any) -> None:
    password = site.installation.dockgate("account", "passwd", "dock")["password"]
    profile = make_profile(
        dock_model("dock2"), account="dock", password=password, sn="SN1", aircraft_sn="SN2",
        organization_id=site.installation.organization_id, binding_code=site.installation.binding_code,
    )  # fmt: skip
    inside: list[dict[str, Any]] = []

    def look(step: Any) -> None:
        if step.step == "update_topo":
            site.gateway.call(site.runtime.presence.flush())
            inside.append(families(site))

    assert run_dock(Target(site.gateway.host, site.gateway.port("plain")), profile, on_step=look).ok
    (found,) = inside
    assert value(found["dockgate_listener_connections"], listener="plain", version="3.1.1") == 1
    assert value(found["dockgate_listener_connections"], listener="tls", version="5") == 0
    assert value(found["dockgate_docks"], step="online") == 1
    assert value(found["dockgate_requests_answered"], method="config", result="0") == 1
    counts = [s for s in found["dockgate_request_duration_seconds"].samples if s.name.endswith("_count")]
    assert {s.labels["method"] for s in counts} >= {"config", "airport_organization_bind", "update_topo"}
    assert value(found["dockgate_logins_accepted"]) == 1
    assert value(found["dockgate_build_info"], version="0.1.0") == 1
    days = (value(found["dockgate_certificate_not_after_timestamp_seconds"], listener="tls") * 1000 - now_ms()) / DAY_MS
    assert 300 < days < 500
    assert value(found["process_open_fds"]) > 5
    kinds = {s.labels["kind"] for s in found["dockgate_database_duration_seconds"].samples}
    assert kinds == {"read", "write"}


def test_names_keep_to_prometheus_conventions(site: Any) -> None:
    """https://prometheus.io/docs/practices/naming: base units at the end, a counter is a total, no type in a name."""
    for name, family in families(site).items():
        if not name.startswith("dockgate_"):
            continue
        assert family.documentation.endswith("."), name
        for sample in family.samples:
            assert not {"le", "quantile", "instance", "job"} & set(sample.labels) - {"le"}, name
        assert not name.endswith(("_ms", "_milliseconds", "_kb", "_days", "_count", "_sum", "_bucket", "_total")), name
        if family.type == "histogram":
            assert name.endswith("_seconds"), name


def test_metrics_in_openmetrics_too(site: Any) -> None:
    found = site.http().get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert found.headers["content-type"].startswith("application/openmetrics-text")
    assert found.text.endswith("# EOF\n")


# -- the board and the alerts


def exposed(site: Any) -> dict[str, set[str]]:
    """Every sample's name, with the labels that it has or can have."""
    labels = {sample.name: set(sample.label_names) for sample in site.runtime.services.metrics.samples()}
    names: dict[str, set[str]] = {"up": set()}
    for family in families(site).values():
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    for name, own in labels.items():
        names.setdefault(name, set()).update(own)
        for suffix, more in (("_bucket", {"le"}), ("_count", set()), ("_sum", set())):
            names.setdefault(name + suffix, set()).update(own | more)
    return names


def selectors(expression: Any) -> Iterator[Any]:
    """Every selector in an expression, in whatever it stands."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        inner = getattr(expression, name, None)
        if inner is not None:
            yield from selectors(inner)
    for inner in getattr(expression, "args", ()):
        yield from selectors(inner)


def groupings(expression: Any) -> Iterator[str]:
    modifier = getattr(expression, "modifier", None)
    if isinstance(expression, promql_parser.AggregateExpr) and modifier is not None:
        yield from modifier.labels
    for name in ("expr", "lhs", "rhs"):
        inner = getattr(expression, name, None)
        if inner is not None:
            yield from groupings(inner)
    for inner in getattr(expression, "args", ()):
        yield from groupings(inner)


def assert_exists(text: str, known: dict[str, set[str]]) -> int:
    """That it is PromQL, and every metric and label in it exist."""
    expression = promql_parser.parse(text.replace("$__rate_interval", "5m"))
    found = list(selectors(expression))
    assert found, text
    labels = {"instance", "job"}
    for selector in found:
        assert selector.name in known, f"{selector.name} in {text}"
        labels |= known[selector.name]
        own = known[selector.name] | {"instance", "job"}
        assert {matcher.name for matcher in selector.matchers.matchers} <= own, text
    assert set(groupings(expression)) <= labels, text
    return len(found)


def test_the_board_shows_what_there_is(site: Any) -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    known = exposed(site)
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(panels) > 20
    assert len(ids) == len(set(ids))
    assert sum(assert_exists(target["expr"], known) for panel in panels for target in panel["targets"]) > 40
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie over each other"
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "job", "instance"}


def test_the_alerts_ask_for_what_there_is(site: Any) -> None:
    known = exposed(site)
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(names) == len(set(names)) >= 12
    for rule in group["rules"]:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert_exists(rule["expr"], known)
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
