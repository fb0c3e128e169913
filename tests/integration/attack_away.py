"""Sessions that wait for their client while its right to what they wait for ends: who is away, what changes meanwhile, and what may
come when it is back. What was another organization's when it was sent must not be in it, nor may a will be spoken by then.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.topics import Kind, device_topic, event_topic

from .attack_stage import MARK, SECRET, Stage
from .octets_v5 import connect, properties, session_expiry, will_delay
from .town import AIRCRAFT_DOWN, DOWN, RIVALS, topics_of, until
from .wire import Got, Wire

OWN = b"of its own organization"


@dataclass
class Place:
    """A dock with an aircraft and an account (``dock``) of its own for one scenario, and platforms of both organizations."""

    stage: Stage
    number: int
    version: int
    sn: str = field(init=False)
    bird: str = field(init=False)

    def __post_init__(self) -> None:
        self.sn, self.bird = f"7CTDM7200B{self.number:04d}", f"1581F5BKY00000000{self.number:03d}"
        self.account("dock", "dock", "--sn", self.sn)
        self.account("home", "service", "--org", self.home)
        self.account("rivals", "service", "--org", RIVALS)

    @property
    def home(self) -> str:
        return str(self.stage.town.installation.organization_id)

    def named(self, who: str) -> str:
        return f"{who}-{self.number}"

    def account(self, who: str, *words: str) -> None:
        made = self.stage.town.installation.account(self.named(who), *words)
        self.stage.town.passwords[made.account] = made.password

    def run(self, *words: str) -> None:
        """A command of the operator, until the gateway has obeyed it."""
        self.stage.town.installation.dockgate(*words)
        self.stage.gateway.call(self.stage.gateway.runtime.reload())

    def login(self, who: str, client_id: str = "", **options: Any) -> Wire:
        """A connection of the moment."""
        return self.stage.town.login(self.named(who), client_id=self.named(client_id or f"now-{who}"), **options)

    def bound(self, organization: str, *, who: str = "dock", sn: str = "", bird: str = "") -> None:
        """The dock and its aircraft, by the dock itself, as somebody with Pilot 2 at it does."""
        with self.login(who) as dock:
            self.stage._settle_in(dock, sn or self.sn, bird or self.bird, organization)

    def leave(self, who: str, *filters: str, wait_for: Callable[[], None]) -> None:
        """Subscribe, have one message under way that is not acknowledged, and be gone; the session stays."""
        with self.login(who, "lasting", version=self.version, **self._lasting()) as client:
            assert set(client.subscribe(*filters)) == {1}
            wait_for()
        self._is_away()

    def leave_with_will(self, topic: str) -> None:
        """MQTT 5: what is to be said in an hour, unless it is back by then."""
        with self.stage.town.wire(version=5) as client:
            said = connect(
                self.named("lasting"), session_expiry(3600), clean=False,
                username=self.named("dock"), password=self.stage.town.passwords[self.named("dock")],
                will=(topic, MARK, 1, True), will_properties=properties(will_delay(3600)),
            )  # fmt: skip
            client.send(said)
            client.ping()
            assert self.stage.ask(lambda: self.session.will) is not None
        self._is_away()

    def back(self, who: str) -> list[Got]:
        """What comes of what has waited."""
        with self.login(who, "lasting", version=self.version, **self._lasting()) as client:
            client.ping()
            client.ping()
            return list(client.inbox)

    def _lasting(self) -> dict[str, Any]:
        return {"clean": False, "expiry_s": 3600 if self.version == 5 else None}

    @property
    def session(self) -> Any:
        return self.stage.session(self.named("lasting"))

    def _is_away(self) -> None:
        until(self.stage.gateway, lambda: self.session is not None and not self.session.connected)

    def say(self, who: str, topic: str, payload: bytes, **options: Any) -> None:
        with self.login(who) as client:
            client.publish(topic, payload, **options)


def _order(place: Place, payload: bytes, who: str = "home") -> Callable[[], None]:
    return lambda: place.say(who, device_topic(place.sn, Kind.SERVICES), payload)


# -- a platform, whose dock goes to others


def _dock_rebound(*filters: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        osd = device_topic(place.sn, Kind.OSD)
        place.bound(place.home)
        # a share of its own, as members of before would have their part
        own = [each.format(place.number) for each in filters]
        place.leave("home", *own, wait_for=lambda: place.say("dock", osd, OWN))
        place.say("dock", osd, OWN)
        place.run("dock", "unbind", place.sn, "--yes")
        place.say("dock", osd, SECRET)  # nobody's yet
        place.bound(RIVALS)
        for topic in (osd, device_topic(place.bird, Kind.OSD), device_topic(place.sn, Kind.EVENTS)):
            place.say("dock", topic, SECRET)
        got = [each for each in place.back("home") if each.topic == osd]
        assert [each.payload for each in got] == [OWN, OWN], got

    return run


def _events_of_rebound(place: Place) -> None:
    """What the gateway tells of a dock is its organization's, too."""
    place.bound(place.home)
    place.leave("home", event_topic("+"), wait_for=lambda: None)
    place.run("dock", "unbind", place.sn, "--yes")
    place.bound(RIVALS)
    told = [json.loads(each.payload) for each in place.back("home") if each.topic == event_topic(place.sn)]
    assert RIVALS not in json.dumps(told), told


# -- a dock, whose aircraft goes to others


def _aircraft_moved(place: Place) -> None:
    other = f"7CTDM7300B{place.number:04d}"
    place.account("other", "dock", "--sn", other)
    place.bound(place.home)
    services = device_topic(place.bird, Kind.SERVICES)
    place.leave("dock", *topics_of(place.bird, AIRCRAFT_DOWN), wait_for=lambda: place.say("home", services, OWN))
    place.run("dock", "unbind", place.bird, "--yes")
    place.run("dock", "forget", place.bird, "--yes")
    place.bound(RIVALS, who="other", sn=other)
    for topic in topics_of(place.bird, AIRCRAFT_DOWN):
        place.say("rivals", topic, SECRET)
    assert {each.payload for each in place.back("dock")} <= {OWN}


def _aircraft_forgotten(place: Place) -> None:
    """It hangs on nothing any more; its topics are nobody's."""
    place.bound(place.home)
    services = device_topic(place.bird, Kind.SERVICES)
    place.leave("dock", services, wait_for=lambda: None)
    place.run("dock", "unbind", place.bird, "--yes")
    place.run("dock", "forget", place.bird, "--yes")
    with place.stage.town.login("service-all", client_id=place.named("mighty")) as mighty:
        mighty.publish(services, SECRET)
    assert place.back("dock") == []


# -- an account that is no longer what it was


def _account_changed(
    change: Callable[[Place], None], *, back: Callable[[Place], None] | None = None, role: str = "dock"
) -> Callable[[Place], None]:
    """What waited for it is gone with its session, whoever comes back under its name and client id."""

    def run(place: Place) -> None:
        place.bound(place.home)
        if role == "dock":
            filters, send = topics_of(place.sn, DOWN), _order(place, SECRET)
        else:
            filters, send = ["#"], lambda: place.say("dock", device_topic(place.sn, Kind.OSD), SECRET)
        place.leave(role, *filters, wait_for=send)
        send()
        change(place)
        assert place.stage.ask(lambda: place.session) is None
        if back is not None:
            back(place)
        assert place.back(role) == []

    return run


def _disable(place: Place) -> None:
    place.run("account", "disable", place.named("dock"))


def _enable(place: Place) -> None:
    place.run("account", "enable", place.named("dock"))


def _unpin(*options: str) -> Callable[[Place], None]:
    return lambda place: place.run("account", "unpin", place.named("dock"), *options)


def _password(place: Place) -> None:
    name = place.named("dock")
    made = place.stage.town.installation.dockgate("account", "passwd", name)
    place.stage.town.passwords[name] = made["password"]
    place.stage.gateway.call(place.stage.gateway.runtime.reload())


def _made_anew(who: str, *words: str) -> Callable[[Place], None]:
    """Deleted, and another is given its name."""

    def change(place: Place) -> None:
        place.run("account", "delete", place.named(who), "--yes")
        place.account(who, *words)
        place.stage.gateway.call(place.stage.gateway.runtime.reload())

    return change


# -- wills that wait


def _will_for_the_next(place: Place) -> None:
    """What was to be said to the one organization is not said to the other."""
    place.bound(place.home)
    place.leave_with_will(device_topic(place.sn, Kind.STATE))
    place.run("dock", "unbind", place.sn, "--yes")
    place.bound(RIVALS)
    assert place.stage.ask(lambda: place.session.will) is None


def _will_waits(change: Callable[[Place], None]) -> Callable[[Place], None]:
    """A will is a publish of when it is due: whose right has ended says nothing more."""

    def run(place: Place) -> None:
        osd = device_topic(place.sn, Kind.OSD)
        place.bound(place.home)
        place.leave_with_will(osd)
        with place.stage.town.login("service-all", client_id=place.named("watch")) as watch:
            assert watch.subscribe(f"thing/product/{place.sn}/#") == [1]
            change(place)
            with place.login("rivals") as barrier:
                barrier.ping()
            watch.ping()
            assert [each for each in watch.inbox if each.payload == MARK] == []
        retained = place.stage.ask(lambda: [each.topic for each in place.stage.gateway.broker.delivery.retained])
        assert osd not in retained

    return run


# -- what the old organization has left


def _old_orders(place: Place) -> None:
    """Orders of the organization that had the dock are not carried out for the one that has it now."""
    place.bound(place.home)
    place.leave("dock", *topics_of(place.sn, DOWN), wait_for=_order(place, SECRET))
    _order(place, SECRET)()
    place.run("dock", "unbind", place.sn, "--yes")
    place.bound(RIVALS)
    assert SECRET not in {each.payload for each in place.back("dock")}


def _old_retained(place: Place) -> None:
    """What the dock had kept for its organization is not shown to the one that has it now."""
    place.bound(place.home)
    for topic in (device_topic(place.sn, Kind.STATE), device_topic(place.bird, Kind.STATE)):
        place.say("dock", topic, SECRET, retain=True)
    place.run("dock", "unbind", place.sn, "--yes")
    place.bound(RIVALS)
    with place.login("rivals") as platform:
        assert platform.subscribe("thing/#") == [1]
        platform.ping()
        assert [each for each in platform.inbox if each.payload == SECRET] == []


SCENARIOS: dict[str, tuple[Callable[[Place], None], tuple[int, ...]]] = {
    "a platform's dock is bound to others": (_dock_rebound("thing/#"), (4, 5)),
    "a platform's dock is bound to others, a share": (_dock_rebound("$share/{}/thing/#"), (4, 5)),
    "what is told of a dock that is bound to others": (_events_of_rebound, (4, 5)),
    "an aircraft goes to a dock of others": (_aircraft_moved, (4, 5)),
    "an aircraft hangs on nothing any more": (_aircraft_forgotten, (4, 5)),
    "its account is disabled, and let in again": (_account_changed(_disable, back=_enable), (4, 5)),
    "its account is untied": (_account_changed(_unpin()), (4, 5)),
    "its account is tied to another dock": (_account_changed(_unpin("--sn", "8UUXN7N00A0AWY")), (4,)),
    "its account has another password": (_account_changed(_password), (4,)),
    "its account's name is another's": (_account_changed(_made_anew("dock", "dock")), (4,)),
    "a platform's name is that of others": (
        _account_changed(_made_anew("home", "service", "--org", RIVALS), role="home"),
        (4, 5),
    ),
    "a will waits, and the account is disabled": (_will_waits(_disable), (5,)),
    "a will waits, and the dock is bound to others": (_will_for_the_next, (5,)),
    "a will waits, and the account is untied": (_will_waits(_unpin()), (5,)),
    "a will waits, and the account is deleted": (_will_waits(_made_anew("dock", "dock")), (5,)),
    "orders of who had the dock before": (_old_orders, (4, 5)),
    "what is retained of who had the dock before": (_old_retained, (4, 5)),
}
