"""One dock for an account, one gateway for a database, one answer for a request: what happens when there is a second."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import DockgateError
from gateway.simulator import SimulatedDock, Target, dock_model, make_profile

from .process import Served


def dock(gateway: Any, login: Any, sn: str) -> SimulatedDock:
    profile = make_profile(
        dock_model("dock3"),
        account=login.account,
        password=login.password,
        organization_id=gateway.installation.organization_id,
        binding_code=gateway.installation.binding_code,
        sn=sn,
    )
    return SimulatedDock(Target(gateway.host, gateway.port()), profile)


def test_a_second_dock_on_an_account_is_told_of(gateway: Any, installation: Any) -> None:
    login = installation.account("dock-1", "dock", "--sn", "FIRST1")
    with dock(gateway, login, "SECOND2") as second:
        second.connect()
        assert list(second.try_subscribe(["thing/product/SECOND2/requests_reply"]).values()) == [0x80]
        second.publish("thing/product/SECOND2/requests", b"{}", qos=1)
    gateway.call(gateway.runtime.services.audit.close())
    refused = [e for e in installation.dockgate("audit", "list") if (e["action"], e["outcome"]) == ("pin", "refused")]
    assert [(e["target"], e["detail"]["dock"], e["detail"]["reason"]) for e in refused[:1]] == [
        ("dock-1", "SECOND2", "has_other_sn")
    ]
    with pytest.raises(AssertionError, match=r"exit 3.*SECOND2 is in no list.*another dock's.*account unpin dock-1"):
        installation.dockgate("dock", "show", "SECOND2")
    (finding,) = [each for each in installation.dockgate("doctor")["findings"] if each["id"] == "refused_lately"]
    assert "another dock's" in finding["what"]
    assert finding["fix"] == "dockgate account unpin dock-1"


def test_a_second_gateway_on_a_database_is_refused(installation: Any) -> None:
    with Served(installation.config_file) as first:
        first.ready()
        with Served(installation.config_file) as second:
            assert second.wait() == 4
            second.line("another gateway serves this database")
    with Served(installation.config_file) as again:
        again.ready()


def test_after_an_unbind_the_same_request_binds_again(gateway: Any, installation: Any) -> None:
    login = installation.account("dock-1", "dock", "--sn", "FIRST1")
    with dock(gateway, login, "FIRST1") as first:
        first.connect()
        first.subscribe()
        wish = {
            "bind_devices": [
                {
                    "device_binding_code": installation.binding_code,
                    "organization_id": installation.organization_id,
                    "device_callsign": "",
                    "sn": "FIRST1",
                    "device_model_key": "3-3-0",
                }
            ]
        }
        asked = {"tid": "same", "bid": "same"}
        assert (
            first.request("airport_organization_bind", wish, **asked)["data"]["output"]["err_infos"][0]["err_code"] == 0
        )
        installation.dockgate("dock", "unbind", "FIRST1", "--yes")
        gateway.call(gateway.runtime.reload())
        assert (
            first.request("airport_organization_bind", wish, **asked)["data"]["output"]["err_infos"][0]["err_code"] == 0
        )
        assert installation.dockgate("dock", "show", "FIRST1")["bound"] is True


def test_a_platform_that_answers_after_the_refusal_is_not_heard(installation: Any, serve: Any) -> None:
    installation.configure(lambda settings: settings["dockgate"]["requests"].update(handler_timeout_s=0.3))
    login, service = (
        installation.account("dock-1", "dock", "--sn", "FIRST1"),
        installation.account("platform", "service"),
    )
    gateway = serve(installation)
    with dock(gateway, login, "FIRST1") as first, dock(gateway, service, "PLATFORM") as platform:
        platform.connect()
        platform.try_subscribe(["thing/product/+/requests"])
        first.connect()
        first.subscribe()
        reply = first.request("storage_config_get", {"module": 0}, tid="late", bid="b", strict=False)
        assert reply["data"]["result"] != 0
        late = b'{"tid":"late","bid":"b","timestamp":1767225600000,"method":"storage_config_get","data":{"result":0}}'
        platform.publish("thing/product/FIRST1/requests_reply", late)
        with pytest.raises(DockgateError):
            first.expect("thing/product/FIRST1/requests_reply", timeout_s=0.5)
