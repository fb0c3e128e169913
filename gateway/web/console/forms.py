"""What can be done in the console: each deed is one page with a form, that says what will happen before it does.

A deed is declared once, with its words, its fields and what it calls in ``gateway.operations``; the page, the check of what was
typed and the way back come from that. It works without a script, and with a keyboard alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import DockgateError
from gateway.web import errors
from gateway.web.console.pages import Console
from gateway.web.declarations import Call

Kind = Literal["text", "password", "number", "area", "choice", "check", "hidden"]
Values = dict[str, str]


@dataclass(frozen=True, slots=True)
class Field:
    """``hint`` stands beneath it. ``choices``: (value, text). What is ``secret`` is never put back into a page."""

    name: str
    label: str
    kind: Kind = "text"
    hint: str = ""
    required: bool = False
    choices: Sequence[tuple[str, str]] = ()
    longest: int = 256

    @property
    def is_secret(self) -> bool:
        return self.kind in {"password", "area"}


@dataclass(frozen=True, slots=True)
class Told:
    """What a page says before the deed. ``values``: what the fields begin with. ``back``: where "Cancel" leads."""

    title: str
    back: str
    what: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    fields: Sequence[Field] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Where to go, and what to say there."""

    to: str
    notice: str


@dataclass(frozen=True, slots=True)
class Secret:
    """What is shown this once, and the way on."""

    title: str
    pairs: Sequence[tuple[str, str]]
    to: str
    what: str


Tell = Callable[[Call], Awaitable[Told]]
Do = Callable[[Call, Values], Awaitable[Done | Secret]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """``hurts``: it can't be taken back, or cuts somebody off, and the button looks like it."""

    path: str
    button: str
    tell: Tell
    do: Do
    fields: Sequence[Field] = ()
    hurts: bool = False

    def routes(self, console: Console) -> list[Route]:
        return [console.get(self.path, self._show(console)), console.post(self.path, self._perform(console))]

    def _show(self, console: Console) -> Callable[[Call], Awaitable[Response]]:
        async def show(call: Call) -> Response:
            told = await self.tell(call)
            return self._page(console, call, told, told.values)

        return show

    def _perform(self, console: Console) -> Callable[[Call, Values], Awaitable[Response]]:
        async def perform(call: Call, typed: Values) -> Response:
            try:
                done = await self.do(call, {name: value.strip() for name, value in typed.items()})
            except DockgateError as error:
                if errors.status_of(error) >= 500:
                    raise
                told = await self.tell(call)
                return self._page(console, call, told, typed, error=error)
            if isinstance(done, Secret):
                return console.render("secret.html", call.request, done=done)
            return console.go(call, done.to, done.notice)

        return perform

    def _page(
        self, console: Console, call: Call, told: Told, values: Mapping[str, str], *, error: DockgateError | None = None
    ) -> Response:
        fields = self.fields if told.fields is None else told.fields
        shown = [(each, "" if each.is_secret else values.get(each.name, "")) for each in fields]
        status = 200 if error is None else errors.status_of(error)
        request = call.request
        return console.render(
            "form.html",
            request,
            status=status,
            deed=self,
            told=told,
            fields=shown,
            error=error,
            query=request.url.query,
        )


def given(values: Values, name: str) -> str | None:
    """None when the field was left empty."""
    return values.get(name) or None


def query_of(call: Call, name: str) -> str:
    """A word of the address; "" when it is not there."""
    return call.request.query_params.get(name, "")


def whole(values: Values, name: str) -> Any:  # noqa: ANN401 - for pydantic, which says what is wrong with it
    """A number if it is one, else what was typed, for the words of whoever checks it."""
    text = given(values, name)
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 12 else text
