"""Who calls whom in `bench.desk`: two hundred operators in groups of four, each group at a number of its own."""

from __future__ import annotations

from typing import Final

DESKS: Final = 200
GROUP: Final = 4
GROUPS: Final = DESKS // GROUP
CLIENTS: Final = 1_000


def operator(number: int) -> str:
    """An employee's id."""
    return f"op{number}"


def phone(number: int) -> str:
    """An employee's phone."""
    return f"PJSIP/{1000 + number}"


def did(call: int) -> str:
    """The number that a call dials."""
    return f"+7495111{call % GROUPS:04}"


def caller(call: int) -> str:
    """Who calls: every second one is a client."""
    return f"+7916{1_000_000 + call % (2 * CLIENTS):07}"


def company() -> str:
    """The company's document."""
    lines = ["company: {name: Bench, timezone: Europe/Moscow, country: RU, language: ru}", "employees:"]
    lines += [
        f"  {operator(each)}: {{name: Operator {each}, department: desk, endpoint: {phone(each)}}}"
        for each in range(DESKS)
    ]
    lines += ["departments: {desk: {name: Desk}}", 'prompts: {speak: {say: "Speak.", seconds: 1}}', "groups:"]
    for group in range(GROUPS):
        members = ", ".join(operator(group * GROUP + each) for each in range(GROUP))
        lines.append(f"  g{group}: {{members: [{members}]}}")
    lines += ["numbers:", *(f'  "{did(group)}": {{scheme: s{group}}}' for group in range(GROUPS)), "schemes:"]
    for group in range(GROUPS):
        lines += [
            f"  s{group}:",
            "    start: team",
            "    responsible: desk",
            "    nodes:",
            f"      team: {{kind: ring, ring: [{{group: g{group}}}], strategy: all, seconds: 60, exits: {{no_answer: mail}}}}",
            "      mail: {kind: voicemail, prompt: speak, seconds: 5, exits: {done: bye}}",
            "      bye: {kind: hangup}",
        ]
    return "\n".join(lines) + "\n"
