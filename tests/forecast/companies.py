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
LOSS = "{kind: ring, ring: [{department: team}], strategy: linear, seconds: 3600, exits: {no_answer: told}}"
"""Whoever finds all busy is turned away."""
QUEUE = (
    "{kind: queue, ring: [{department: team}], strategy: longest_idle, seconds: 3600, max_wait: 86400, "
    "max_length: 100000, exits: {timeout: told}}"
)
"""Whoever finds all busy waits until somebody is free."""


def company(folder: Path, agents: int, node: str = LOSS) -> LoadedCompany:
    """So many agents, called through such a node."""
    employees = "\n".join(
        f"  a{n}: {{name: Оператор {n}, department: team, endpoint: PJSIP/{1000 + n}}}" for n in range(agents)
    )
    path = folder / "company.yaml"
    path.write_text(_HEAD.format(employees=employees, did=DID, node=node), encoding="utf-8")
    loaded = load(path)
    assert not loaded.findings, loaded.findings
    return loaded
