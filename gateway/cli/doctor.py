"""``dockgate doctor``: what is missing, or about to go wrong, in an installation that starts. Configuration, certificates and
database come in, findings with the command that mends each go out; nothing is changed.
"""

from __future__ import annotations

import typer

from gateway.cli import render
from gateway.cli.context import Cli, Db
from gateway.cli.live import Live, look
from gateway.cli.options import Output, example
from gateway.operations.findings import Finding, describe, look_for
from gateway.store import lockouts, snapshot
from gateway.store.lockouts import Lock
from gateway.store.snapshot import Snapshot

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=example("dockgate doctor", "dockgate -o json doctor | jq '.findings[].fix'"))
def doctor(ctx: typer.Context, output: Output = None) -> None:
    """Find what is missing or about to go wrong, and how to mend it. Exit code 1 when docks are kept out."""
    cli = Cli.of(ctx, output)
    config = cli.config()

    def query(db: Db) -> tuple[Snapshot, list[Lock], Live]:
        return snapshot.load(db), lockouts.get_all(db), look(db, cli.now)

    data, locks, live = cli.read(query)
    findings = look_for(config, data, locks, live, cli.now)
    found = describe(findings)
    render.record(found, cli.format, text=_text(findings))
    if not found["ok"]:
        raise typer.Exit(1)


def _text(findings: list[Finding]) -> str:
    if not findings:
        return "nothing found"
    indent = " " * 9
    return "".join(
        render.wrapped(finding.what, first=f"{finding.severity:<8} ", indent=indent)
        + render.wrapped(finding.fix, first=f"{indent}> ", indent=f"{indent}  ")
        for finding in findings
    )
