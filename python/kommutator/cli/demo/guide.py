"""What a newcomer is told by the demo: who serves, where to look, what to try."""

from __future__ import annotations

import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from kommutator.cli.demo.filling import PASSWORD, USERS
from kommutator.cli.demo.house import ROUTER, House
from kommutator.cli.inputs import now_ms, zone_of
from kommutator.cli.up import desk_address
from kommutator.company import LoadedCompany, load
from kommutator.desk.pages import BUILT
from kommutator.engine import Engine
from kommutator.errors import KommutatorError

CALLER: Final = "84957000001"
"""From Moscow, who is asked about: a client of the sample company."""
_LONGEST: Final = 20
"""Steps of a call that is looked at."""


class Guide:
    """Prints it, in one of the languages."""

    def __init__(self, console: Console, house: House, language: str) -> None:
        self._console = console
        self._house = house
        self._language = language
        self._told = _TOLD[language]

    def words(self, key: str) -> str:
        """A phrase."""
        return self._told[key]

    def begins(self) -> None:
        """The first lines."""
        self._say(self._told["title"], "bold")
        again = "again" if (self._house.folder / "postgres").exists() else "first"
        self._say(self._told[again].format(folder=self._house.folder))
        for key, port in self._house.moved.items():
            self._say("  " + self._told["moved"].format(what=self._told[key], port=port), "yellow")

    def serves(self, name: str) -> None:
        """A process serves for the first time."""
        self._done(self._told.get(name.split("-")[0], name))

    def filled(self) -> None:
        """The record has been filled."""
        self._done(self._told["filled"])

    def alarm(self, text: str) -> None:
        """Something needs attention."""
        self._say(f"  ! {text}  ({self._house.log})", "red")

    def stopping(self) -> None:
        """All are being stopped."""
        self._say("\n" + self._told["stopping"])

    def stopped(self) -> None:
        """The last line."""
        again = f"{program()} demo{_data_option(self._house.folder)}"
        self._say(self._told["stopped"].format(folder=self._house.folder, again=again))

    def all_there(self) -> None:
        """All serve: where to look, and what to try."""
        configuration, folder = self._house.configuration, self._house.folder
        router = configuration.routers.get(ROUTER)
        self._say("\n" + self._told["alive"], "bold green")
        self._head("look")
        desk = desk_address(configuration)
        metrics = [f"{desk}metrics", *([f"http://{router.metrics}/metrics"] if router and router.metrics else [])]
        places = {
            "desk": desk,
            "phones": f"{desk}phones",
            "logins": ", ".join(login for login, *_ in USERS),
            "password": PASSWORD,
            "sent": f"{folder / 'desk' / 'sent'}/",
            "ledger": str(folder / "routers" / ROUTER / "ledger.jsonl"),
            "figures": "  ".join(metrics),
            "logs": str(self._house.log),
            "company": f"{self._house.company}/",
        }
        if not (BUILT / "index.html").exists():
            places["pages"] = self._told["make_ui"]
        width = max(len(self._told[what]) for what in places)
        for what, where in places.items():
            self._console.print(Text(f"  {self._told[what]:<{width}}  ").append(where, style="cyan"))
        self._numbers()
        self._try(folder)
        self._say("\n" + self._told["stop"], "dim")

    # --- parts of it

    def _numbers(self) -> None:
        try:
            company = load(self._house.company)
            answers = who_answers(company, now_ms())
        except KommutatorError:
            return  # the copy is being edited; whoever runs the check is told
        local = datetime.now(UTC).astimezone(zone_of(company))
        day = self._told["days"].split()[local.weekday()]
        self._head("numbers", day=day, time=f"{local:%H:%M}", caller=CALLER)
        schemes = {number: str(company.document["numbers"][number]["scheme"]) for number in answers}
        width = max(map(len, schemes.values()))
        for number, (what, names) in answers.items():
            told = self._told[what].format(names=", ".join(names))
            self._console.print(
                Text(f"  {number}  ").append(f"{schemes[number]:<{width}}  ", style="cyan").append(told)
            )

    def _try(self, folder: Path) -> None:
        self._head("try")
        for key, line in tries(folder):
            self._say(f"# {self._told[key]}", "dim")
            self._say(line, "cyan")

    def _head(self, key: str, **values: str) -> None:
        self._say("\n" + self._told[key].format(**values), "bold")

    def _done(self, text: str) -> None:
        self._console.print(Text.assemble(("  ✓ ", "green"), text))

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))


def tries(folder: Path) -> list[tuple[str, str]]:
    """Commands that work when pasted: of each, the key of what it is for."""
    name, data = program(), shlex.quote(str(folder))
    company, broken = shlex.quote(str(folder / "company")), shlex.quote(str(folder / "broken"))
    return [
        ("try_call", f"{name} call +74951112207 --as 89161230099 --data {data}"),
        (
            "try_trace",
            f"{name} trace {company} --did +74951112201 --caller 89161230099 --at 2026-11-18T12:00"
            """ --floor '{"boris": {"line": "busy"}}' --event '{"type": "played"}'""",
        ),
        (
            "try_check",
            f"cp -r {company}/. {broken} && sed -i '/delivery:.*ring/s/missed/sorry/' {broken}/company.yaml"
            f" && {name} check {broken}",
        ),
    ]


def who_answers(company: LoadedCompany, at_ms: int) -> dict[str, tuple[str, list[str]]]:
    """What the engine decides for each number now, up to the first thing that people have to do with: `ring` and whose
    phones, `menu`, or `record`; `end` when there is none.

    The caller is `CALLER`, who has called before and has nobody responsible. Raises `CompanyInvalid`.
    """
    engine = Engine.of(company)
    people = company.document["employees"]
    answers: dict[str, tuple[str, list[str]]] = {}
    for number in company.document["numbers"]:
        turn = engine.arrive(f"ask-{number}", number, CALLER, at_ms)
        for _ in range(_LONGEST):
            action: dict[str, Any] = turn.to_dict()["action"]
            event = _PASSED.get(action["type"])
            if event is None:
                break
            turn = engine.handle(turn.state, {"type": event}, at_ms)
        names = [str(people[each["employee"]]["name"]) for each in action.get("endpoints", ()) if each.get("employee")]
        answers[number] = action["type"] if action["type"] in _SHOWN else "end", names
        engine.handle(turn.state, {"type": "caller_hung_up"}, at_ms)
    return answers


_PASSED: Final = {"play": "played", "find_owner": "no_owner", "find_history": "called_before"}
_SHOWN: Final = frozenset({"ring", "menu", "record"})


def program() -> str:
    """How this program can be called from here."""
    beside = Path(sys.executable).with_name("kommutator")
    if (found := shutil.which("kommutator")) is not None and Path(found).samefile(beside):
        return "kommutator"
    if not beside.exists():
        return f"{shlex.quote(sys.executable)} -m kommutator"
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))


def _data_option(folder: Path) -> str:
    return "" if folder == Path("kommutator-demo") else f" --data {shlex.quote(str(folder))}"


_TOLD: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Kommutator: a call router that proves its schemes, on a sample company with a simulated PBX",
        "first": "Starting. Everything will be kept in {folder}.",
        "again": "Starting again with what is kept in {folder}.",
        "moved": "port {port} is taken: {what} is elsewhere this time, see below",
        "desk.listen": "the desk",
        f"routers.{ROUTER}.metrics": "the router's page of figures",
        "postgres": "the database",
        "nats": "the exchange between the processes",
        "desk": "the desk",
        "pbx": "the simulated PBX",
        "route": "the router",
        "filled": "the sample company is proven and active; its clients and users are there",
        "comment": "the sample company",
        "alive": "All is running, and callers come by themselves, about four a minute.",
        "look": "Where to look",
        "phones": "play client, operator and manager",
        "logins": "sign in as",
        "pages": "the desk's pages",
        "make_ui": "are not built: make ui; its API serves",
        "password": "with the password",
        "sent": "SMS and e-mail that were sent",
        "ledger": "the router's ledger, one line a call",
        "figures": "figures",
        "logs": "what the processes say",
        "company": "the company, to edit and import",
        "numbers": "Its numbers, and who gets a call from {caller} now, on {day} at {time}, while all are free",
        "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        "ring": "rings {names}",
        "menu": "a menu",
        "record": "takes a message",
        "end": "tells something and hangs up",
        "try": "What to try, in another terminal",
        "try_call": "call as a client: the router asks whose he is, and rings her first (h hangs up)",
        "try_trace": "who would get this call on a Wednesday at noon while Boris is talking, and why",
        "try_check": "break a scheme, and see the shortest path on which a call is lost",
        "stop": "Ctrl-C stops it all.",
        "stopping": "Stopping…",
        "stopped": "Stopped. {folder} keeps everything for the next time: {again}",
    },
    "ru": {
        "title": "Kommutator: маршрутизатор вызовов, который доказывает свои схемы; образцовая компания и АТС-имитатор",
        "first": "Запуск. Всё будет храниться в {folder}.",
        "again": "Запуск с тем, что хранится в {folder}.",
        "moved": "порт {port} занят: {what} на этот раз в другом месте, см. ниже",
        "desk.listen": "рабочее место",
        f"routers.{ROUTER}.metrics": "страница показателей маршрутизатора",
        "postgres": "база данных",
        "nats": "обмен между процессами",
        "desk": "рабочее место",
        "pbx": "АТС-имитатор",
        "route": "маршрутизатор",
        "filled": "образцовая компания проверена и действует; клиенты и пользователи заведены",
        "comment": "образцовая компания",
        "alive": "Всё работает, звонки идут сами, около четырёх в минуту.",
        "look": "Где посмотреть",
        "phones": "сыграть клиента, оператора, менеджера",
        "logins": "войти как",
        "pages": "страницы",
        "make_ui": "не собраны: make ui; API работает",
        "password": "с паролем",
        "sent": "отправленные SMS и письма",
        "ledger": "журнал маршрутизатора, строка на вызов",
        "figures": "показатели",
        "logs": "что сообщают процессы",
        "company": "компания, для правки и импорта",
        "numbers": "Её номера и кому достанется звонок с {caller} сейчас ({day}, {time}), пока все свободны",
        "days": "понедельник вторник среда четверг пятница суббота воскресенье",
        "ring": "звонок: {names}",
        "menu": "голосовое меню",
        "record": "голосовая почта",
        "end": "объявление, и конец",
        "try": "Что попробовать, в другом терминале",
        "try_call": "позвонить от имени клиента: маршрутизатор спросит, чей он, и сначала позвонит ей (h – положить трубку)",
        "try_trace": "кому достанется этот вызов в среду в полдень, пока Борис разговаривает, и почему",
        "try_check": "испортить схему и увидеть кратчайший путь, на котором вызов теряется",
        "stop": "Ctrl-C всё остановит.",
        "stopping": "Остановка…",
        "stopped": "Остановлено. В {folder} всё сохранено до следующего раза: {again}",
    },
}
