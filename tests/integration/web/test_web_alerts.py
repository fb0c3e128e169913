"""The alerts fire on the first thing of their kind: a series has to be there before it, since increase() sees no step from nothing
to one. Scraped before and after it, and worked out here as Prometheus does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.simulator import Target, make_profile, run_dock
from gateway.simulator.models import dock_model

ALERTS = Path(__file__).parents[3] / "packaging" / "prometheus" / "alerts.yml"
DOCK = "7CTDM7100B1234"

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(site: Any) -> Series:
    found = site.http().get("/metrics")
    assert found.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(found.text)
        for sample in family.samples
    }


def rises(expression: Any) -> list[Any]:
    """The selectors whose rise is asked for."""
    if isinstance(expression, promql_parser.Call) and expression.func.name in {"increase", "rate"}:
        return [argument.vector_selector for argument in expression.args]
    inner = [getattr(expression, name, None) for name in ("expr", "lhs", "rhs", "param")]
    return [each for one in (*inner, *getattr(expression, "args", ())) if one is not None for each in rises(one)]


def fits(selector: Any, labels: dict[str, str]) -> bool:
    checks: dict[str, Callable[[str, str], bool]] = {
        "MatchOp.Equal": lambda have, want: have == want,
        "MatchOp.NotEqual": lambda have, want: have != want,
        "MatchOp.Re": lambda have, want: re.fullmatch(want, have) is not None,
        "MatchOp.NotRe": lambda have, want: re.fullmatch(want, have) is None,
    }
    return all(checks[str(each.op)](labels.get(each.name, ""), each.value) for each in selector.matchers.matchers)


def increase(selector: Any, before: Series, after: Series) -> float:
    """Of series with a sample at both times; one that is new has none to count from."""
    return sum(
        after[series] - before[series]
        for series in before.keys() & after.keys()
        if series[0] == selector.name and fits(selector, dict(series[1]))
    )


def rules() -> dict[str, list[Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rises(promql_parser.parse(rule["expr"])) for rule in group["rules"]}


@pytest.fixture
def visit(site: Any) -> Any:
    password = site.installation.dockgate("account", "passwd", "dock")["password"]
    profile = make_profile(
        dock_model("dock2"), account="dock", password=password, sn=DOCK,
        organization_id=site.installation.organization_id, binding_code=site.installation.binding_code,
    )  # fmt: skip

    def go(misbehaviour: str | None) -> None:
        target = Target(site.gateway.host, site.gateway.port("plain"))
        run_dock(target, profile, misbehaviour=misbehaviour)

    return go


def wrong_passwords(site: Any, visit: Any) -> None:
    for _ in range(12):
        visit("wrong-password")


def no_license(site: Any, visit: Any) -> None:
    site.installation.dockgate("license", "clear", "--yes")
    site.gateway.call(site.runtime.reload())
    visit(None)


def wrong_code(site: Any, visit: Any) -> None:
    visit("wrong-code")


def broken_database(site: Any, visit: Any) -> None:
    site.gateway.call(site.runtime.services.store.close())
    visit(None)


@pytest.mark.parametrize(
    ("alert", "deed"),
    [
        ("DockgateLoginsRefused", wrong_passwords),
        ("DockgateLockedOut", wrong_passwords),
        ("DockgateNoLicense", no_license),
        ("DockgateBindRefused", wrong_code),
        ("DockgateDatabaseFails", broken_database),
    ],
)
def test_an_alert_sees_the_first_of_its_kind(site: Any, visit: Any, alert: str, deed: Any) -> None:
    selectors = rules()[alert]
    before = scrape(site)
    deed(site, visit)
    after = scrape(site)
    assert sum(increase(selector, before, after) for selector in selectors) > 0
    # it is told by what there was: nothing of it is in a series that has just begun
    new = [series for series in after.keys() - before.keys() if any(series[0] == each.name for each in selectors)]
    assert new == []


def test_every_counter_that_an_alert_watches_is_there_from_the_start(site: Any) -> None:
    begun = {name for name, _ in scrape(site)}
    watched = {
        selector.name for selectors in rules().values() for selector in selectors if selector.name.endswith("_total")
    }
    assert len(watched) > 6
    assert watched <= begun


def test_a_refused_bind_is_no_success(site: Any, visit: Any) -> None:
    """Its reply says result 0, as the protocol has it, and one code for each device."""
    api = site.api("read")
    with api.stream("GET", "/requests/live") as stream:
        visit("wrong-code")
        told = next(line for line in stream.iter_lines() if "airport_organization_bind" in line)
    assert '"result":210230' in told
    (asked,) = [
        each for each in api.get(f"/docks/{DOCK}/requests").json() if each["method"] == "airport_organization_bind"
    ]
    assert asked["result"] == 210230
    assert asked["reply"]["result"] == 0
    assert {each["err_code"] for each in asked["reply"]["output"]["err_infos"]} == {210230}
    labels = frozenset({"method": "airport_organization_bind", "result": "210230"}.items())
    assert scrape(site)["dockgate_requests_answered_total", labels] == 1
    site.gateway.call(site.runtime.presence.flush())
    browser, _ = site.browser()
    page = browser.get(f"/docks/{DOCK}").text
    assert re.search(r'<code>airport_organization_bind</code>\s*<span class="badge bad">210230</span>', page)
