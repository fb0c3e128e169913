"""What can be done in the console: it asks first, obeys its own page only, is in force at once, and the audit knows who it was."""

from __future__ import annotations

from typing import Any

DOCK = "7CTDM7100B1234"


HURTS = (
    f"/docks/{DOCK}/unbind",
    f"/docks/{DOCK}/forget",
    f"/docks/{DOCK}/disconnect",
    f"/docks/{DOCK}/disable",
    "/accounts/delete?name=dock",
    "/accounts/disable?name=dock",
    "/accounts/password?name=dock",
    "/licenses/clear",
)


def test_only_a_form_of_our_own_page_does_anything(page: Any, dock: str) -> None:
    page.settle()
    before = page.site.installation.dockgate("audit", "list")
    for path in HURTS:
        for fields, headers in (
            ({"sn": "x"}, {}),
            ({"csrf": ""}, {}),
            ({"csrf": "guessed"}, {}),
            ({"csrf": page.csrf}, {"Origin": "http://evil.example"}),
            ({"csrf": page.csrf}, {"Origin": "null"}),
        ):
            answer = page.send(path, fields, **headers)
            assert answer.status_code == 403, (path, fields, headers)
            assert "Not allowed" in answer.text
        assert page.http.post(path, json={"csrf": "guessed"}).status_code == 403
    page.settle()
    assert page.site.installation.dockgate("audit", "list") == before


def test_it_asks_before_it_hurts(page: Any, dock: str) -> None:
    page.settle()
    before = page.site.installation.dockgate("audit", "list")
    for path in HURTS:
        asked = page(path)
        assert asked.status == 200
        assert 'class="danger"' in asked.html
        assert "Cancel" in asked.text
        assert len(asked.fields["csrf"]) > 40
    page.settle()
    assert page.site.installation.dockgate("audit", "list") == before


def test_a_dock_is_kept_out_from_its_own_page_and_let_in_again(page: Any, dock: str, bring_in: Any) -> None:
    assert f"/docks/{dock}/disable" in page(f"/docks/{dock}").links
    assert "Its account dock is disabled" in page(f"/docks/{dock}/disable").text
    found = page.do(f"/docks/{dock}/disable")
    assert f"{dock} is kept out" in found.text
    assert "Account dock disabled" in found.text
    assert f"/docks/{dock}/disable" not in found.links
    (told,) = page.audited("account.disable")
    assert (told["actor"], told["target"], told["detail"]["dock"]) == ("operator:maria", "dock", dock)
    assert not page.site.installation.dockgate("account", "show", "dock")["enabled"]
    assert not bring_in()[0].ok
    # the board says why, and leads to the account that has to be enabled
    page.settle()
    board = page("/")
    assert "the account is disabled" in board.text
    assert "/accounts/show?name=dock" in board.links
    assert f"{dock} may log in again" in page.do(f"/docks/{dock}/enable").text
    assert bring_in()[0].ok
    assert len(page.audited("account.enable")) == 1


def test_a_dock_without_an_account_of_its_own_has_nothing_to_disable(page: Any, dock: str) -> None:
    page.do("/accounts/unpin?name=dock")
    assert f"/docks/{dock}/disable" not in page(f"/docks/{dock}").links
    assert page(f"/docks/{dock}/disable").status == 409


def test_unbind_names_what_ends_and_does_it(page: Any, dock: str) -> None:
    assert dock in page(f"/docks/{dock}/unbind").text
    found = page.do(f"/docks/{dock}/unbind")
    assert f"Unbound: {dock}" in found.text
    assert "bound to none" in found.text
    assert f"Unbound: {dock}" not in page(f"/docks/{dock}").text  # it is said once
    told = page.audited("dock.unbind")
    assert {entry["actor"] for entry in told} == {"operator:maria"}
    assert dock in {entry["target"] for entry in told}
    gone = page.do(f"/docks/{dock}/forget")
    assert f"Forgotten: {dock}" in gone.text
    assert page(f"/docks/{dock}").status == 404


def test_a_bound_dock_is_not_forgotten_and_the_page_says_why(page: Any, dock: str) -> None:
    found = page.do(f"/docks/{dock}/forget")
    assert found.status == 409
    assert "dockgate dock unbind" in found.text
    assert page(f"/docks/{dock}").status == 200


def test_rename(page: Any, dock: str) -> None:
    assert "is called Harbour now" in page.do(f"/docks/{dock}/rename", callsign=" Harbour ").text
    assert "Harbour" in page("/?q=harb").text
    refused = page.do(f"/docks/{dock}/rename", callsign="x" * 500)
    assert refused.status == 400
    assert refused.fields["callsign"] == "x" * 500
    assert page.audited("dock.rename")[0]["actor"] == "operator:maria"


def test_disconnect_is_audited(page: Any, dock: str) -> None:
    assert "Connections ended: 0" in page.do(f"/docks/{dock}/disconnect").text
    assert page.audited("dock.disconnect")[0]["target"] == dock


def test_an_account_from_its_first_password_to_its_end(page: Any) -> None:
    made = page.do("/accounts/add", account="dock-7", role="dock")
    assert made.status == 200
    assert "shown this once" in made.text
    assert made.answer.headers["cache-control"] == "no-store"
    taken = page.do("/accounts/add", account="dock-7", role="dock", password="a secret of mine")
    assert taken.status == 409
    assert taken.fields["account"] == "dock-7"
    assert "a secret of mine" not in taken.html
    assert "is kept out" in page.do("/accounts/disable?name=dock-7").text
    assert "may log in again" in page.do("/accounts/enable?name=dock-7").text
    assert "Locks lifted" in page.do("/accounts/unlock?name=dock-7").text
    assert "New password: dock-7" in page.do("/accounts/password?name=dock-7", password="a secret of mine").text
    assert "Deleted: dock-7" in page.do("/accounts/delete?name=dock-7").text
    assert page("/accounts/show?name=dock-7").status == 404
    assert {entry["actor"] for entry in page.audited("account.delete")} == {"operator:maria"}


def test_an_account_is_untied_from_its_dock(page: Any, dock: str) -> None:
    asked = page("/accounts/unpin?name=dock")
    assert dock in asked.text
    assert "What is bound stays bound" in asked.text
    assert "the next dock that uses it" in page.do("/accounts/unpin?name=dock").text
    assert "/accounts/unpin" not in page("/accounts/show?name=dock").html
    assert page.audited("account.unpin")[0]["detail"]["dock"] == dock
    assert page(f"/docks/{dock}").text.count("bound to none") == 0
    assert "not a serial number" in page.do("/accounts/unpin?name=dock", sn="no good").text


def test_an_organization_with_its_codes(page: Any) -> None:
    assert "Added: Harbour" in page.do("/organizations/add", name="Harbour", id="harbour").text
    assert "Renamed: Port" in page.do("/organizations/harbour/rename", name="Port").text
    assert "New binding code" in page.do("/organizations/harbour/codes/add", uses="2", expires="7d").text
    wrong = page.do("/organizations/harbour/codes/add", uses="many")
    assert wrong.status == 400
    assert "Uses: input should be a valid integer" in wrong.text
    assert "Deleted: harbour" in page.do("/organizations/harbour/delete").text


def test_a_license_is_set_and_never_shown_again(page: Any) -> None:
    key = "c0ffee00c0ffee00c0ffee00c0ffee00"
    found = page.do("/licenses/set", organization_id="", app_id="654321", app_key=key, app_license="bGljZW5zZQ==")
    assert "License set" in found.text
    assert key not in found.html
    assert key not in page("/licenses/set").html
    assert key not in page("/audit").html
    assert "Forgotten" in page.do("/licenses/clear").text


def test_certificates(page: Any) -> None:
    issued = page.do("/certificates/issue", name="dock")
    assert "Issued for dock" in issued.text
    (revoke,) = [each for each in issued.links if each.startswith("/certificates/revoke")][:1]
    assert "Revoked" in page.do(revoke).text
    assert "Renewed" in page.do("/certificates/renew").text
    assert page.audited("cert.revoke")[0]["actor"] == "operator:maria"
