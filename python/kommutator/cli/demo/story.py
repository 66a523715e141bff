"""The demo that is told: calls to each scheme of the sample company, in virtual time."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from kommutator import sample
from kommutator.cli.demo.guide import program
from kommutator.cli.inputs import EXIT_INVALID, fail, instant_ms, now_ms, only_errors_logged, read_company
from kommutator.cli.narration import GOOD, Cast, Narrated, Narrator
from kommutator.company import LoadedCompany, check_loaded
from kommutator.engine import Engine
from kommutator.pbx.simulated.adapter import SimulatedLookups
from kommutator.pbx.simulated.behaviour import CallerAct, CallerScript, PhoneAct, PhoneScript, phones_of
from kommutator.routing.ledger import FileJournal
from kommutator.routing.turn import Turn
from kommutator.simulation import Arrival, Simulation, simulate

RUSH: Final = 200
"""Calls of the finale."""
RUSH_S: Final = 300
"""The time within which they come."""


@dataclass(frozen=True, slots=True)
class Story:
    """A call of the demo."""

    told: dict[str, str]
    """In each language."""
    at: str
    arrival: Arrival
    phones: dict[str, PhoneScript]
    lookups: SimulatedLookups
    ends: str
    """The disposition."""


def stories() -> list[Story]:
    """The calls of the sample company."""
    entries: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(sample.CALLS.read_text(encoding="utf-8"))
    return [
        Story(
            entry["story"],
            entry["at"],
            Arrival(f"demo-{place}", entry["did"], entry["caller"], CallerScript.of(entry.get("acts"))),
            phones_of(entry.get("phones")),
            SimulatedLookups(entry.get("lookups")),
            entry["ends"],
        )
        for place, entry in enumerate(entries, 1)
    ]


def play(calls: int | None, speed: float, data: Path | None, language: str) -> None:
    """Prove the sample company and play its calls, or so many of them. Router and engine are those that serve real
    calls; the PBX, its phones and callers, and the time are simulated. A call that goes otherwise than told ends the
    command with exit code 1."""
    console = Console(highlight=False, soft_wrap=True)
    told = _TOLD[language]
    folder = data or Path(tempfile.mkdtemp(prefix="kommutator-demo-"))
    copied = _copy_sample(folder / "company")
    loaded = read_company(str(copied))
    console.print(Text(told["title"], style="bold"))
    console.print()
    _prove(console, loaded, told)
    engine = Engine.of(loaded)
    journal = FileJournal(folder)
    pause = (lambda seconds: time.sleep(seconds / speed)) if console.is_terminal else None
    wrong: list[str] = []
    try:
        with only_errors_logged():
            for place, story in enumerate(stories()[:calls], 1):
                _head(console, loaded, place, story, language)
                narrator = Narrator(console, Cast.of(loaded), language, pause)
                simulation = Simulation(
                    loaded.document, instant_ms(story.at, loaded, "at"), story.phones, narrator.happened
                )
                narrated = Narrated(journal, narrator)
                simulate(simulation, engine, narrated, [story.arrival], story.lookups)
                if narrator.endings != [story.ends]:
                    wrong.append(story.arrival.call_id)
            _rush(console, loaded, engine, journal, told)
    finally:
        journal.close()
    _farewell(console, folder, copied, told)
    if wrong:
        fail(f"calls that went otherwise than told: {', '.join(wrong)}", EXIT_INVALID)


def _copy_sample(target: Path) -> Path:
    """A copy that may be edited."""
    return Path(shutil.copytree(sample.COMPANY, target, dirs_exist_ok=True))


def _prove(console: Console, company: LoadedCompany, told: dict[str, str]) -> None:
    report = check_loaded(company, now_ms())
    console.print(Text(told["proof"]))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
    dids = {card["scheme"]: number for number, card in company.document["numbers"].items()}
    for scheme, proven in report.schemes.items():
        longest = told["longest"].format(seconds=f"{proven['longest_seconds']:g}")
        table.add_row(Text("  ✔", style="green"), Text(scheme, style="cyan"), dids.get(scheme, ""), longest)
    console.print(table)
    for finding in report.findings:
        console.print(Text(f"  {finding['severity']}[{finding['code']}] {finding['message']}", style="dim"))
    if not report.ok:
        fail("the sample company is invalid", EXIT_INVALID)


def _head(console: Console, company: LoadedCompany, place: int, story: Story, language: str) -> None:
    number = company.document["numbers"][story.arrival.did]
    withheld = _TOLD[language]["withheld"]
    title = f"[bold]{place}[/] · [cyan]{number['scheme']}[/] · {story.arrival.did} ← {story.arrival.caller or withheld}"
    console.print()
    console.print(Rule(title, align="left", style="dim"))
    console.print(Text(story.told[language], style="italic"))


def _rush(console: Console, company: LoadedCompany, engine: Engine, journal: FileJournal, told: dict[str, str]) -> None:
    """Many calls at once, and what came of them."""
    chance = random.Random("kommutator demo")
    dids = list(company.document["numbers"])
    arrivals = [
        Arrival(
            f"rush-{place}",
            chance.choice(dids),
            chance.choice(["8 495 700-00-01", "8 343 200-00-02", "8 916 123-00-51", None]),
            CallerScript([CallerAct("record", speak=chance.choice([0, 6]), end="hash")]),
            chance.uniform(0, RUSH_S),
        )
        for place in range(1, RUSH + 1)
    ]
    phones = {
        str(card[key]): PhoneScript(
            [
                PhoneAct(
                    chance.choice(["answer", "answer", "busy", "silent"]), chance.uniform(1, 8), chance.uniform(5, 20)
                )
                for _ in range(RUSH)
            ]
        )
        for card in company.document["employees"].values()
        for key in ("endpoint", "mobile")
        if card.get(key)
    }
    simulation = Simulation(company.document, instant_ms("2026-11-18T12:00:00+03:00", company, "at"), phones)
    tally = _Tally()
    lookups = SimulatedLookups({"owner": "boris", "history": "never_called"})
    began_s = time.perf_counter()
    simulate(simulation, engine, Narrated(journal, tally), arrivals, lookups)
    took_s = time.perf_counter() - began_s
    console.print()
    console.print(Rule(f"[bold]{told['rush'].format(calls=RUSH, minutes=RUSH_S // 60)}[/]", align="left", style="dim"))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for disposition, calls in tally.dispositions.most_common():
        bar = Text("█" * max(1, round(calls * 60 / RUSH)), style="green" if disposition in GOOD else "yellow")
        table.add_row(f"  {disposition}", Text(str(calls), justify="right"), bar)
    console.print(table)
    claims = len(engine.claims(simulation.agenda.now_ms()))
    lived_s = (simulation.agenda.now_ms() - simulation.start_ms) / 1000
    ledger = told["after_rush"].format(
        lines=tally.dispositions.total(), legs=len(simulation.world.legs), claims=claims, lived=lived_s, took=took_s
    )
    console.print(Text(ledger))


class _Tally:
    """Counts how calls end."""

    def __init__(self) -> None:
        self.dispositions: Counter[str] = Counter()

    def turned(self, at_ms: int, turn: Turn) -> None:
        """Of no interest here."""

    def ended(self, _call_id: str, _at_ms: int, disposition: str, _fault: str) -> None:
        """One more."""
        self.dispositions[disposition] += 1


def _farewell(console: Console, folder: Path, company: Path, told: dict[str, str]) -> None:
    """Where to look, and what to try."""
    console.print()
    console.print(Rule(f"[bold]{told['look']}[/]", align="left", style="dim"))
    for what, where in (("ledger", str(folder / "ledger.jsonl")), ("company", str(company))):
        console.print(Text(f"  {told[what]}: ").append(where, style="cyan"))
    line = (
        f"{program()} call +74951112201 --as 89161230099 --virtual --at 2026-11-18T12:00"
        " --phone PJSIP/101=busy --phone PJSIP/102=answer:4:20"
    )
    console.print(Text(f"# {told['try_call']}", style="dim"))
    console.print(Text(line, style="cyan"))


_TOLD: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Kommutator: a call router that proves its schemes, and tells the reason for each turn",
        "proof": "The check of the sample company proves: no call can be lost, every loop ends, a call takes at most",
        "longest": "{seconds} s",
        "withheld": "number withheld",
        "rush": "{calls} calls within {minutes} minutes",
        "after_rush": "  {lines} lines in the ledger, {legs} legs rung, {claims} people left claimed;"
        " {lived:.0f} s of telephony took {took:.1f} s",
        "look": "Where to look",
        "ledger": "the ledger, one line a call",
        "company": "the company, a copy to edit",
        "try_call": "play a call of your own",
    },
    "ru": {
        "title": "Kommutator: маршрутизатор вызовов, который доказывает свои схемы и объясняет каждый шаг",
        "proof": "Проверка доказала: ни один вызов не теряется, каждый цикл кончается, вызов длится не дольше",
        "longest": "{seconds} с",
        "withheld": "номер скрыт",
        "rush": "{calls} вызовов за {minutes} минут",
        "after_rush": "  строк в журнале: {lines}, звонков на телефоны: {legs}, занято после: {claims};"
        " {lived:.0f} с телефонии прошли за {took:.1f} с",
        "look": "Где посмотреть",
        "ledger": "журнал, строка на вызов",
        "company": "компания, копия для правки",
        "try_call": "сыграть свой вызов",
    },
}
