"""One dock or aircraft: its story, what it asked and was answered, what it said first, how much it says now; and what can be done.

Secrets are taken out before anything gets here (``web/requests.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from gateway.errors import ConflictError
from gateway.operations import accounts, docks
from gateway.operations.change import Db
from gateway.operations.live import Overlay
from gateway.web.console.board import mended
from gateway.web.console.forms import Deed, Done, Field, Told, Values
from gateway.web.console.pages import Console, quoted
from gateway.web.declarations import Call

if TYPE_CHECKING:
    from gateway.model import Account
    from gateway.web.context import Context

_SN = "sn"


def address_of(sn: str) -> str:
    return f"/docks/{quoted(sn)}"


async def device(console: Console, call: Call) -> Response:
    sn = call.path[_SN]
    found = await call.read(_look, sn, call.context.now, call.context.overlay())
    account = _account_of(call)
    found["account"], found["is_disabled"] = account and account.name, account is not None and not account.enabled
    for attempt in found["attempts"]:
        attempt["mend"] = mended(attempt["verdict"], attempt["hint"])
    asked = call.context.requests.of(sn)
    for one in asked:
        one["request"], one["reply"] = _pretty(one["request"]), _pretty(one["reply"])
    for contact in found["contacts"]:
        contact["said"] = _pretty(contact["said"])
    return console.page(
        "device", call, dock=found, asked=list(reversed(asked)), connections=connections_of(call.context, sn)
    )


def _look(db: Db, sn: str, now: int, overlay: Overlay) -> dict[str, Any]:
    found = docks.show(db, sn, now, overlay)
    found["attempts"].reverse()
    found["events"].reverse()
    return found


def _pretty(value: Any) -> str:  # noqa: ANN401 - any JSON
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def connections_of(context: Context, sn: str) -> list[dict[str, Any]]:
    """Those of the dock that are open now. ``rate``: messages in the last whole second."""
    return [
        {
            "client_id": session.client_id,
            "account": session.account,
            "address": f"{connection.address}:{connection.port}",
            "listener": connection.listener,
            "rate": connection.rate,
            "queued": session.queued,
            "subscriptions": len(session.subscriptions),
        }
        for session, connection in context.broker.connections_of(sn)
    ]


# -- what can be done


async def _tell_unbind(call: Call) -> Told:
    sn = call.path[_SN]
    found = await call.read(docks.show, sn, call.context.now)
    children = ", ".join(child[_SN] for child in found["children"] if child["bound"])
    also = f", and with it its aircraft {children}" if children else ""
    whose = found["organization_name"] or found["organization_id"] or "no organization"
    return Told(
        f"Unbind {sn}?",
        address_of(sn),
        f"{sn} is bound to {whose}. Unbinding ends that{also}. The dock has to be bound again in Pilot 2, with a binding code.",
    )


async def _unbind(call: Call, _values: Values) -> Done:
    sn = call.path[_SN]
    done = await call.change(lambda change: docks.unbind(change, sn))
    return Done(address_of(sn), f"Unbound: {', '.join(done['unbound'])}")


async def _tell_forget(call: Call) -> Told:
    sn = call.path[_SN]
    await call.read(docks.show, sn, call.context.now)
    return Told(
        f"Forget {sn}?",
        address_of(sn),
        "What is known of it goes, but for the audit trail. When it connects again it is new here.",
    )


async def _forget(call: Call, _values: Values) -> Done:
    sn = call.path[_SN]
    await call.change(lambda change: docks.forget(change, sn))
    return Done("/", f"Forgotten: {sn}")


async def _tell_rename(call: Call) -> Told:
    sn = call.path[_SN]
    found = await call.read(docks.show, sn, call.context.now)
    return Told(f"Rename {sn}", address_of(sn), values={"callsign": found["callsign"]})


async def _rename(call: Call, values: Values) -> Done:
    sn, overlay = call.path[_SN], call.context.overlay()
    done = await call.change(lambda change: docks.rename(change, sn, values.get("callsign", ""), overlay))
    return Done(address_of(sn), f"{sn} is called {done['callsign']} now")


async def _tell_kick(call: Call) -> Told:
    sn = call.path[_SN]
    number = len(connections_of(call.context, sn))
    return Told(
        f"Disconnect {sn}?",
        address_of(sn),
        f"{number or 'No'} connection{'' if number == 1 else 's'} of it {'is' if number == 1 else 'are'} open. A dock connects "
        "again within seconds; to keep it out, disable its account.",
    )


async def _kick(call: Call, _values: Values) -> Done:
    sn = call.path[_SN]
    await call.change(lambda change: docks.disconnect(change, sn))
    number = call.context.broker.kick(sn)
    return Done(address_of(sn), f"Connections ended: {number}")


def _account_of(call: Call) -> Account | None:
    directory = call.context.runtime.services.directory
    name = directory.account_pinned_to(call.path[_SN])
    return None if name is None else directory.account(name)


def _name_of(call: Call) -> str:
    account = _account_of(call)
    if account is None:
        raise ConflictError(f"no account is the one of {call.path[_SN]}", hint="dockgate account list")
    return account.name


async def _tell_disable(call: Call) -> Told:
    sn, name = call.path[_SN], _name_of(call)
    return Told(
        f"Disable {sn}?",
        address_of(sn),
        f"Its account {name} is disabled: its connections end at once, and it can't log in until it is enabled again. What is "
        "bound stays bound.",
    )


async def _disable(call: Call, _values: Values) -> Done:
    sn, name = call.path[_SN], _name_of(call)
    await call.change(lambda change: accounts.switch(change, name, enabled=False))
    return Done(address_of(sn), f"{sn} is kept out: its account {name} is disabled")


async def _tell_enable(call: Call) -> Told:
    sn, name = call.path[_SN], _name_of(call)
    return Told(f"Enable {sn}?", address_of(sn), f"Its account {name} may log in again.")


async def _enable(call: Call, _values: Values) -> Done:
    sn, name = call.path[_SN], _name_of(call)
    await call.change(lambda change: accounts.switch(change, name, enabled=True))
    return Done(address_of(sn), f"{sn} may log in again with its account {name}")


DEEDS = (
    Deed(path="/docks/{sn}/disable", button="Disable", tell=_tell_disable, do=_disable, hurts=True),
    Deed(path="/docks/{sn}/enable", button="Enable", tell=_tell_enable, do=_enable),
    Deed(path="/docks/{sn}/unbind", button="Unbind", tell=_tell_unbind, do=_unbind, hurts=True),
    Deed(path="/docks/{sn}/forget", button="Forget", tell=_tell_forget, do=_forget, hurts=True),
    Deed(path="/docks/{sn}/disconnect", button="Disconnect", tell=_tell_kick, do=_kick, hurts=True),
    Deed(
        path="/docks/{sn}/rename",
        button="Rename",
        tell=_tell_rename,
        do=_rename,
        fields=(Field("callsign", "Callsign", required=True, longest=128, hint="What people call it."),),
    ),
)
