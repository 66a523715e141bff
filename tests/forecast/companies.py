"""A company whose one group is as queueing theory has it: agents alike, one call each, nothing but their talk takes time."""

from __future__ import annotations

from pathlib import Path

from kommutator.company import LoadedCompany, load

DID = "+74951110001"
_HEAD = """
company: {{name: Очередь, timezone: Europe/Moscow, country: RU, language: ru}}
employees:
{employees}
departments: {{team: {{name: Операторы}}}}
numbers: {{"{did}": {{scheme: main}}}}
schemes:
  main:
    start: team
    responsible: team
    nodes:
      team: {node}
      told: {{kind: task, assign: team, title: "Перезвонить {{caller}}", exits: {{done: bye}}}}
      bye: {{kind: hangup, cause: busy}}
"""
_LOSS = "{kind: ring, ring: [{department: team}], strategy: linear, seconds: 3600, exits: {no_answer: told}}"


def company(folder: Path, agents: int) -> LoadedCompany:
    """So many agents; whoever finds all busy is turned away."""
    employees = "\n".join(
        f"  a{n}: {{name: Оператор {n}, department: team, endpoint: PJSIP/{1000 + n}}}" for n in range(agents)
    )
    path = folder / "company.yaml"
    path.write_text(_HEAD.format(employees=employees, did=DID, node=_LOSS), encoding="utf-8")
    loaded = load(path)
    assert not loaded.findings, loaded.findings
    return loaded
