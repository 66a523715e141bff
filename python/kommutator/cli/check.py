"""`kommutator check`: what is wrong with a company document, and what is proven of it."""

from __future__ import annotations

import click
import orjson
from rich.console import Console
from rich.text import Text

from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, instant_ms, now_ms
from kommutator.company import CheckReport, check_loaded, load
from kommutator.errors import CompanyUnreadable

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


@click.command("check")
@click.argument("company")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, in every case.")
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option("--at", metavar="ISO-8601", help="From when the coming twelve months are looked at; default: now.")
def command(company: str, as_json: bool, strict: bool, at: str | None) -> None:
    """Prove a company document before it is activated.

    COMPANY is a YAML file, or a folder whose *.yaml and *.yml files are merged.

    Errors are a wrong shape or reference, a node that no call reaches, a cycle that does not end, and a path on which
    a call is lost: nobody answered, nothing recorded, nobody told. Warnings are exits never taken, minutes of the
    coming year at which nobody can be rung and nothing be recorded, and nodes in an unfortunate order. For each scheme
    the longest time until a call ends or is answered is computed.

    \b
    Examples:
      kommutator check company.yaml
      kommutator check company/ --strict
      kommutator check company.yaml --json | jq '.findings[].code'

    Exit code: 0 no error, 1 errors, 2 the document cannot be read.
    """
    try:
        loaded = load(company)
    except CompanyUnreadable as error:
        report = CheckReport.unreadable(error)
    else:
        report = check_loaded(loaded, now_ms() if at is None else instant_ms(at, loaded, "--at"))
    if strict:
        report = report.strict()
    if as_json:
        click.echo(orjson.dumps(report.to_dict()))
    else:
        show(report, Console(highlight=False, soft_wrap=True))
    if not report.readable:
        raise SystemExit(EXIT_UNREADABLE)
    if not report.ok:
        raise SystemExit(EXIT_INVALID)


def show(report: CheckReport, console: Console) -> None:
    """Prints a report for people."""
    for finding in report.findings:
        line = Text()
        line.append(f"{finding['file']}:{finding['line'] or 1}: ", style="bold")
        line.append(f"{finding['severity']}[{finding['code']}]", style=_STYLES[finding["severity"]])
        where = "/".join(part for part in (finding["scheme"], finding["node"]) if part)
        if where:
            line.append(f" {where}", style="cyan")
        line.append(f": {finding['message']}")
        console.print(line)
        if finding["path"]:
            console.print(Text("    the shortest path: " + " → ".join(finding["path"]), style="dim"))
        if finding.get("witness"):
            console.print(Text("    for example: " + orjson.dumps(finding["witness"]).decode(), style="dim"))
    for name, scheme in report.schemes.items():
        seconds = scheme.get("longest_seconds")
        if seconds is not None:
            console.print(Text(f"scheme {name}: answered or ended within {_seconds(seconds)}"))
    counts = {severity: sum(finding["severity"] == severity for finding in report.findings) for severity in _STYLES}
    told = ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts.items() if count)
    console.print(Text(told or "no findings", style="bold green" if report.ok else "bold red"))


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{seconds:g} s ({minutes} min {rest} s)"
