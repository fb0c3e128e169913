"""A dock goes from its first connection to bound and online, over every kind of listener, and finds itself bound the next time."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from gateway.simulator import MODELS, Target, TlsFiles, make_profile, run_dock

KINDS: dict[str, tuple[bool, Literal[4, 5]]] = {
    "plain-3.1.1": (False, 4),
    "tls-3.1.1": (True, 4),
    "plain-5": (False, 5),
    "tls-5": (True, 5),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_first_access_and_the_next(installation: Any, serve: Any, kind: str, model: Any) -> None:
    tls, protocol = KINDS[kind]
    installation.license()
    login = installation.account("dock-1")
    gateway = serve(installation)
    target = Target(
        gateway.host,
        gateway.port("tls" if tls else "plain"),
        tls=TlsFiles(ca=installation.ca) if tls else None,
        protocol=protocol,
    )
    profile = make_profile(
        model,
        account=login.account,
        password=login.password,
        organization_id=installation.organization_id,
        binding_code=installation.binding_code,
    )
    first = run_dock(target, profile)
    assert [(step.step, step.detail) for step in first.steps if not step.ok] == []
    assert [step.step for step in first.steps] == [
        "connect", "subscribe", "config", "bind_status", "organization_get", "organization_bind", "bind_status_after",
        "update_topo", "telemetry", "acknowledge", "disconnect",
    ]  # fmt: skip
    second = run_dock(target, profile)
    assert [(step.step, step.detail) for step in second.steps if not step.ok] == []
    assert "organization_bind" not in [step.step for step in second.steps]
    shown = installation.dockgate("dock", "show", profile.sn)
    assert (shown["bound"], shown["organization_id"]) == (True, installation.organization_id)
    assert [child["sn"] for child in shown["children"]] == [profile.aircraft_sn]
