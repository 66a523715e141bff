"""The scenarios of `tests/scenarios/`: companies, and calls with everything expected of each turn.

A folder holds `company.yaml`, the same as the engine reads it in `company.json` (`kommutator compile`), and
`scenarios.yaml`, a list of calls:

- `name`; `branch` of the scheme that the call shows; `call`, the call id (default: a fixed one);
- `did`, `caller` (or null), `at` (ISO 8601): the arrival;
- `floor`: `{employee: {presence, line}}`; everybody else is present and idle. A step's own `floor` changes it before
  the step's event;
- `owners`, `called`: what the engine has been told before, of owners (null: nobody) and of earlier calls;
- `steps`, of which the first is the arrival. Each has an `event`, `after` seconds from the step before, and what must
  come of it: `expect`, fields of the action (a ring's endpoints as addresses, in order); `trace`, exactly the
  `[node, exit]` passed; `effects`, exactly as many and in this order, each with at least these fields;
- `real`: how the same call is played by a PBX and phones, with the same trace and disposition. `caller` is what the
  caller does, an entry for each action of the type named in `during`, in order; he is silent and waits otherwise.
  `phones` is what the phones do (`answer`, `busy`, `decline`, `silent`, `unreachable`; a list: one for each time they
  are rung; default silent), `lookups` what is answered to `find_owner` (`owner`) and `find_history` (`history`);
  `never` is no answer, and by default they fail. `at` is a moment in place of the arrival's. Who is `ringing` or in
  `wrap_up` on the floor is rung by a call from inside the house; `freed` says how many seconds after the arrival that
  call ends (default: never), `left` when his phone is switched off, which ends that call, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

FOLDER: Final = Path(__file__).parent / "scenarios"
CALL_ID: Final = "scenario"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One call and what is expected of it."""

    folder: Path
    place: int
    """Among the scenarios of its file, counted from 1."""
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """What happens, in words."""
        return str(self.data["name"])

    @property
    def id(self) -> str:
        """A short name in ASCII: scheme, place and branch."""
        return f"{self.folder.name}-{self.place:02}-{self.data['branch']}"

    @property
    def call_id(self) -> str:
        """The call's id."""
        return str(self.data.get("call", CALL_ID))

    @property
    def at_ms(self) -> int:
        """When the call arrives."""
        return moment_ms(self.data["at"])

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The arrival, and one step for each event."""
        steps: list[dict[str, Any]] = self.data["steps"]
        return steps

    def expected_trace(self) -> list[list[str]]:
        """The whole trace as `[node, exit]`."""
        return [passed for step in self.steps for passed in step.get("trace", [])]

    def __str__(self) -> str:
        return f"{self.folder.name}: {self.name}"


def folders() -> list[Path]:
    """The folder of each scheme."""
    return sorted(path.parent for path in FOLDER.glob("*/scenarios.yaml"))


def scenarios() -> Iterator[Scenario]:
    """Every scenario of every scheme."""
    for folder in folders():
        for place, data in enumerate(read_yaml(folder / "scenarios.yaml"), 1):
            yield Scenario(folder, place, data)


def inside_calls_of(scenario: Scenario) -> dict[str, str]:
    """Whose phone rings because of a call from inside the house when the real call arrives, with that phone."""
    employees = read_yaml(scenario.folder / "company.yaml")["employees"]
    return {
        employee: employees[employee]["endpoint"]
        for employee, facts in scenario.data.get("floor", {}).items()
        if facts.get("line") in ("ringing", "wrap_up")
    }


def phone_plans_of(scenario: Scenario) -> dict[str, list[dict[str, Any]]]:
    """What each phone does each time it is rung, a call from inside the house being the first."""
    plans = {
        endpoint: [plan] if isinstance(plan, dict) else list(plan)
        for endpoint, plan in scenario.data["real"].get("phones", {}).items()
    }
    for endpoint in inside_calls_of(scenario).values():
        plans[endpoint] = [{"does": "silent"}, *plans.get(endpoint, [{"does": "silent"}])]
    return plans


def moment_ms(text: str) -> int:
    """An ISO 8601 moment with its offset, in milliseconds of UTC since the epoch."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return round(moment.timestamp() * 1000)


def read_yaml(path: Path) -> Any:
    """A YAML file as plain data."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
