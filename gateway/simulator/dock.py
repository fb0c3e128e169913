"""A dock's way in, step by step, as Pilot 2 and the dock do it: a target and a profile go in, a ``Run`` of named steps
comes out.

Never raises for what the gateway does: a step fails and says why. A dock that finds itself bound skips the binding; one
that gets no usable license disconnects and does not go on (case C6).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.errors import DockgateError, RefusedError
from gateway.simulator import checks, misbehave, payloads, remedies
from gateway.simulator.device import SimulatedDock
from gateway.simulator.misbehave import Misbehaviour
from gateway.simulator.models import DockProfile, Run, Step
from gateway.simulator.payloads import Json
from gateway.simulator.target import Target

# Documents say 0.5 Hz for every property (docs/protocol.md 5.3).
_OSD_PERIOD_S = 2.0
# A server may wait for a login as long as for anything else; silence is judged after twice the time.
_SILENCE_FACTOR = 2


def run_dock(
    target: Target,
    profile: DockProfile,
    *,
    telemetry_s: float = 0.0,
    misbehaviour: Misbehaviour | str | None = None,
    on_step: Callable[[Step], None] | None = None,
    timeout_s: float = 10.0,
) -> Run:
    """One dock from connect to disconnect. ``telemetry_s`` 0 sends one round of telemetry."""
    return _Access(
        target, profile, telemetry_s, None if misbehaviour is None else Misbehaviour(misbehaviour), on_step, timeout_s
    ).run()


class _Access:
    def __init__(
        self,
        target: Target,
        profile: DockProfile,
        telemetry_s: float,
        misbehaviour: Misbehaviour | None,
        on_step: Callable[[Step], None] | None,
        timeout_s: float,
    ) -> None:
        self._does = misbehaviour
        if misbehaviour is Misbehaviour.WRONG_PASSWORD:
            profile = replace(profile, password=f"{profile.password}-wrong")
        elif misbehaviour is Misbehaviour.WRONG_CODE:
            profile = replace(profile, binding_code=misbehave.WRONG_CODE)
        elif misbehaviour is Misbehaviour.NO_AIRCRAFT:
            profile = replace(profile, aircraft_sn=None)
        self._profile = profile
        self._target = target
        self._telemetry_s = telemetry_s
        self._timeout_s = timeout_s
        self._on_step = on_step
        self._dock = SimulatedDock(target, profile, timeout_s=timeout_s)
        self._steps: list[Step] = []
        self._bound_here = False
        self._dock_bound = False

    def run(self) -> Run:
        try:
            if self._does is Misbehaviour.SILENCE:
                self._step("connect", self._say_nothing)
            elif self._does is Misbehaviour.WRONG_PASSWORD:
                self._step("connect", self._be_refused)
            elif self._step("connect", self._connect):
                self._go()
                self._step("disconnect", self._disconnect)
        finally:
            self._dock.close()
        return Run(self._profile.sn, tuple(self._steps))

    def _go(self) -> None:
        """Each step only after the one before; the order is the dock's (docs/protocol.md 4.1)."""
        if not (self._step("subscribe", self._subscribe) and self._step("config", self._config)):
            return
        if not self._step("bind_status", self._bind_status):
            return
        if self._does in {Misbehaviour.WRONG_CODE, Misbehaviour.BOUND_ELSEWHERE}:
            self._try_in_vain()
            return
        if not self._bound_here and not (
            self._step("organization_get", self._organization_get)
            and self._step("organization_bind", self._organization_bind)
            and self._step("bind_status_after", self._bind_status_after)
        ):
            return
        _ = (
            self._step("update_topo", self._update_topo)
            and self._step("telemetry", self._telemetry)
            and self._step("acknowledge", self._acknowledge)
        )

    def _try_in_vain(self) -> None:
        _ = (
            self._step("organization_get", self._organization_get_in_vain)
            and (self._bound_here or self._step("organization_bind", self._organization_bind_in_vain))
            and self._step("bind_status_after", self._bind_status_unmoved)
        )

    def _step(self, name: str, work: Callable[[], str]) -> bool:
        started, hint = time.perf_counter(), None
        try:
            detail, ok = work(), True
        except DockgateError as error:
            detail, ok = str(error), False
            hint = error.hint or (
                remedies.FIRST_OF_ALL if name == "connect" else remedies.of_anything(self._profile.sn)
            )
        step = Step(name, ok, (time.perf_counter() - started) * 1000, detail, hint)
        self._steps.append(step)
        if self._on_step is not None:
            self._on_step(step)
        return ok

    # -- connection ---------------------------------------------------------------------------------------------------

    def _connect(self) -> str:
        self._dock.connect()
        return f"{self._target.manner}, {self._target.address}"

    def _be_refused(self) -> str:
        try:
            self._dock.connect()
        except RefusedError as error:
            return f"refused as it should be: {error}"
        raise DockgateError(f"the gateway let account {self._profile.account} in with a wrong password")

    def _say_nothing(self) -> str:
        ms = misbehave.silent(self._target, timeout_s=self._timeout_s * _SILENCE_FACTOR)
        return f"said nothing, and was shown out after {ms:.0f} ms"

    def _disconnect(self) -> str:
        was_open = self._dock.is_open
        self._dock.close()
        if not was_open:
            raise DockgateError(f"the connection was over before the goodbye: {self._dock.closed_because}")
        return "said goodbye"

    def _subscribe(self) -> str:
        return f"{len(self._dock.subscribe())} topics"

    # -- asking -------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, data: Json) -> Json:
        """The reply's data; with DUPLICATE_TID both copies must be answered alike (case 14)."""
        first, second = self._twice(
            self._dock.requests_topic,
            lambda tid, bid: payloads.request(method, data, gateway=self._profile.sn, tid=tid, bid=bid),
        )
        if second is not None and second["data"] != first["data"]:
            raise DockgateError(f"{method} was answered differently when it came again with the same tid")
        found: Json = first["data"]
        return found

    def _twice(self, topic: str, make: Callable[[str, str], Json]) -> tuple[Json, Json | None]:
        tid, bid = payloads.new_id(), payloads.new_id()
        asked = self._dock.send(topic, make(tid, bid))
        if self._does is not Misbehaviour.DUPLICATE_TID:
            return self._dock.reply(asked), None
        self._dock.send(topic, make(tid, bid))
        return self._dock.reply(asked), self._dock.reply(asked)

    def _ask_for(self, method: str, data: Json) -> Json:
        """Like ``_ask``; a refusal fails the step."""
        found = self._ask(method, data)
        if found.get("result", 0) != 0:
            raise DockgateError(f"{method} was refused: {_refusal(found['result'])}", hint=self._remedy(method, found))
        return found

    def _remedy(self, method: str, found: Json) -> str:
        if method == "config":
            return remedies.of_license(refused=True)
        return remedies.of_binding(found["result"], self._profile.sn, self._profile.organization_id)

    def _config(self) -> str:
        sent = self._throw_garbage() if self._does is Misbehaviour.GARBAGE else ""
        found = self._ask_for("config", payloads.config_data())
        wanted = self._profile.app_id
        if wanted is not None and found["app_id"] != wanted:
            raise DockgateError(
                f"the dock does not accept the license: it is of app {found['app_id']}, and not of {wanted}; "
                "a dock tells nobody, and asks for nothing more",
                hint=remedies.of_license(refused=False),
            )
        ntp = (
            f", time from {found['ntp_server_host']}:{found.get('ntp_server_port', 123)}"
            if "ntp_server_host" in found
            else ""
        )
        return f"license of app {found['app_id']}{ntp}{sent}"

    def _throw_garbage(self) -> str:
        """A server may end the connection over a message; it may not answer one with success, nor forget this dock."""
        dock, shown_out = self._dock, []
        for name, make in misbehave.GARBAGE.items():
            try:
                dock.publish(dock.requests_topic, make())
            except RefusedError:
                continue  # MQTT 5: said no, which is as good as silence
            except DockgateError:
                if dock.is_open:
                    raise
                shown_out.append(name)
                dock.connect()
                dock.subscribe()
        note = f" (shown out after: {', '.join(shown_out)})" if shown_out else ""
        # A request that is in order comes after them on the same connection, so every answer to them has come by its
        # reply.
        self._ask("airport_bind_status", payloads.bind_status_data(self._profile))
        for message in dock.waiting(f"{dock.requests_topic}_reply"):
            try:
                result = checks.result_of(checks.parse(message.payload))
            except ValueError:
                result = None
            if result is None or result == 0:
                raise DockgateError("an unusable request was answered as if it were in order")
        return f", after {len(misbehave.GARBAGE)} unusable messages{note}"

    # -- binding ------------------------------------------------------------------------------------------------------

    def _statuses(self) -> dict[str, Json]:
        found = self._ask_for("airport_bind_status", payloads.bind_status_data(self._profile))
        return {entry["sn"]: entry for entry in found["output"]["bind_status"]}

    def _bind_status(self) -> str:
        statuses = self._statuses()
        wanted, elsewhere = self._profile.organization_id, []
        for sn, status in statuses.items():
            if status["is_device_bind_organization"] and status["organization_id"] != wanted:
                elsewhere.append(
                    f"{sn} is bound to organization {status['organization_id']} ({status['organization_name']})"
                )
        if self._does is Misbehaviour.BOUND_ELSEWHERE:
            if not elsewhere:
                raise DockgateError("no device is bound elsewhere: bind this dock to another organization first")
        elif elsewhere:
            # An aircraft is unbound together with its dock
            hint = remedies.of_bound_elsewhere(self._profile.sn)
            raise DockgateError(f"{'; '.join(elsewhere)}, not to {wanted}: unbind it there first", hint=hint)
        self._dock_bound = statuses[self._profile.sn]["is_device_bind_organization"]
        self._bound_here = all(status["is_device_bind_organization"] for status in statuses.values()) and not elsewhere
        return "; ".join(map(_status, statuses.values()))

    def _organization_get(self) -> str:
        found = self._ask("airport_organization_get", payloads.organization_get_data(self._profile))
        if found["result"] != 0:
            what = f"organization {self._profile.organization_id} with this binding code"
            hint = self._remedy("airport_organization_get", found)
            raise DockgateError(f"{what} was refused: {_refusal(found['result'])}", hint=hint)
        return f"organization {found['output']['organization_name']}"

    def _organization_bind(self) -> str:
        found = self._ask_for("airport_organization_bind", payloads.organization_bind_data(self._profile))
        # ``result`` 0 is no success: each device has its own code (case C14).
        refused = [
            f"{info['sn']}: {_refusal(info['err_code'])}"
            for info in found["output"]["err_infos"]
            if info["err_code"] != 0
        ]
        if refused:
            sn, code = next(
                (one["sn"], one["err_code"]) for one in found["output"]["err_infos"] if one["err_code"] != 0
            )
            hint = remedies.of_binding(code, sn, self._profile.organization_id)
            raise DockgateError(f"not every device was bound: {'; '.join(refused)}", hint=hint)
        return f"bound {', '.join(info['sn'] for info in found['output']['err_infos'])}"

    def _bind_status_after(self) -> str:
        detail = self._bind_status()
        if not self._bound_here:
            raise DockgateError(f"the binding was answered with success and is not there: {detail}")
        return detail

    def _organization_get_in_vain(self) -> str:
        found = self._ask("airport_organization_get", payloads.organization_get_data(self._profile))
        if self._does is Misbehaviour.BOUND_ELSEWHERE:
            # The code itself may be good; what must fail is the binding.
            return "known" if found["result"] == 0 else f"refused: {_refusal(found['result'])}"
        if found["result"] == 0:
            raise DockgateError("a binding code that does not exist was accepted")
        return f"refused as it should be: {_refusal(found['result'])}"

    def _organization_bind_in_vain(self) -> str:
        before = self._statuses()
        found = self._ask("airport_organization_bind", payloads.organization_bind_data(self._profile))
        if found["result"] != 0:
            return f"refused as it should be: {_refusal(found['result'])}"
        codes = {info["sn"]: info["err_code"] for info in found["output"]["err_infos"]}
        # With BOUND_ELSEWHERE only the devices that are bound elsewhere have to be refused (case 14).
        free = {"", self._profile.organization_id}
        everything = self._does is Misbehaviour.WRONG_CODE
        doomed = [sn for sn in codes if everything or before[sn]["organization_id"] not in free]
        taken = [sn for sn in doomed if codes[sn] == 0]
        if taken:
            raise DockgateError(f"bound {', '.join(taken)}, which had to be refused")
        return "refused as it should be: " + "; ".join(f"{sn}: {_refusal(codes[sn])}" for sn in doomed)

    def _bind_status_unmoved(self) -> str:
        """Refused or not, nothing of what was refused may have happened."""
        statuses = self._statuses()
        dock = statuses[self._profile.sn]
        if self._does is Misbehaviour.WRONG_CODE and not self._dock_bound and dock["is_device_bind_organization"]:
            raise DockgateError("the dock is bound though its binding was refused")
        return "; ".join(map(_status, statuses.values()))

    # -- life ---------------------------------------------------------------------------------------------------------

    def _update_topo(self) -> str:
        status_topic = payloads.status_topic(self._profile.sn)
        first, second = self._twice(
            status_topic, lambda tid, bid: payloads.update_topo(self._profile, tid=tid, bid=bid)
        )
        for reply in (first, second):
            if reply is not None and reply["data"]["result"] != 0:
                raise DockgateError(f"the topology was refused: {_refusal(reply['data']['result'])}")
        return f"aircraft {self._profile.aircraft_sn}" if self._profile.aircraft_sn else "no aircraft"

    def _telemetry(self) -> str:
        dock, count = self._dock, 0
        until = time.monotonic() + self._telemetry_s
        # The first round with QoS 1: MQTT 5 then tells of a refusal, which QoS 0 swallows.
        qos = 1
        while True:
            count += dock.publish_osd(qos=qos) + dock.publish_airsense(qos=qos)
            if self._profile.aircraft_sn is not None:
                count += dock.publish_aircraft_osd(qos=qos) + dock.publish_hms(qos=qos)
            qos = 0
            pause = min(_OSD_PERIOD_S, until - time.monotonic())
            if pause <= 0:
                return f"{count} messages"
            if dock.wait_closed(pause):
                raise DockgateError(f"the connection ended after {count} messages of telemetry: {dock.closed_because}")

    def _acknowledge(self) -> str:
        """What says ``need_reply`` is acknowledged whatever it is (case C28), each time it comes (case C27)."""
        profile, dock = self._profile, self._dock
        state_sn = profile.aircraft_sn or profile.sn
        if profile.aircraft_sn is not None:
            dock.subscribe(payloads.aircraft_subscriptions(profile.aircraft_sn))
        answers: list[tuple[str, Any]] = []
        state_topic, event_topic = payloads.topic(state_sn, "state"), payloads.topic(profile.sn, "events")
        answers += [
            ("state", each)
            for each in self._twice(state_topic, lambda tid, bid: payloads.state(profile, tid=tid, bid=bid))
        ]
        answers += [
            ("event", each)
            for each in self._twice(event_topic, lambda tid, bid: payloads.event(profile, tid=tid, bid=bid))
        ]
        for what, reply in answers:
            if reply is not None and reply["data"]["result"] != 0:
                raise DockgateError(f"the {what} was acknowledged with {_refusal(reply['data']['result'])}")
        return "state and event"


def _refusal(code: int) -> str:
    return f"{checks.meaning(code)} ({code})"


def _status(status: Json) -> str:
    if not status["is_device_bind_organization"]:
        return f"{status['sn']} is not bound"
    return f"{status['sn']} is bound to {status['organization_name'] or status['organization_id']}"
