"""Turns of a call in words, in Russian and English."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Json = Mapping[str, Any]


def action_words(action: Json, language: str) -> str:
    """What the PBX is to do now. An action of an unknown type is named as it is."""
    words = _ACTIONS[language].get(action["type"])
    return words(action) if words else str(action["type"])


def effect_words(effect: Json, language: str) -> str:
    """What is to be done besides."""
    words = _EFFECTS[language].get(effect["type"])
    return words(effect) if words else str(effect["type"])


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun, in English."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def label(name: str, language: str) -> str:
    """A fixed word of the output."""
    return _LABELS[language][name]


def _endpoints(action: Json) -> str:
    return ", ".join(
        f"{item['endpoint']} ({item['employee']})" if item.get("employee") else str(item["endpoint"])
        for item in action["endpoints"]
    )


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _subject(effect: Json) -> str:
    return f", «{effect['subject']}»" if effect.get("subject") else ""


def _prompt(action: Json, before: str) -> str:
    return f"{before}{action['prompt']}" if action.get("prompt") else ""


def _place(action: Json, words: str) -> str:
    return words.format(action["position"]) if action.get("position") else ""


def _said(action: Json, before: str) -> str:
    return f"{before}{action['announce']}" if action.get("announce") else ""


_ACTIONS: Final[dict[str, dict[str, Callable[[Json], str]]]] = {
    "en": {
        "play": lambda a: f"play {a['prompt']}",
        "menu": lambda a: (
            f"ask for one of {', '.join(a['digits'])} for {_number(a['seconds'])} s{_prompt(a, ', saying ')}"
        ),
        "ring": lambda a: f"round {a['round']}: ring {_endpoints(a)} for {_number(a['seconds'])} s",
        "wait": lambda a: (
            f"keep the caller waiting, at most {_number(a['seconds'])} s"
            f"{_place(a, ', number {} in line')}{_said(a, ', saying ')}"
        ),
        "record": lambda a: f"record a message of at most {_number(a['seconds'])} s{_prompt(a, ' after ')}",
        "find_owner": lambda a: f"ask the CRM who is responsible for {a['caller']}, within {a['timeout_ms']} ms",
        "find_history": lambda a: f"ask whether {a['caller']} has called before, within {a['timeout_ms']} ms",
        "call_webhook": lambda a: f"ask {a['url']}, within {a['timeout_ms']} ms",
        "transfer": lambda a: f"transfer the call to {a['to']}",
        "talk": lambda a: f"let the caller talk to {a['endpoint']}",
        "hang_up": lambda a: f"hang up ({a['cause']}){_prompt(a, ' after ')}",
        "end": lambda a: f"the call has ended: {a['disposition']}, fault: {a['fault']}",
    },
    "ru": {
        "play": lambda a: f"проиграть {a['prompt']}",
        "menu": lambda a: (
            f"ждать одну из цифр {', '.join(a['digits'])} в течение {_number(a['seconds'])} с"
            f"{_prompt(a, ', проиграв ')}"
        ),
        "ring": lambda a: f"круг {a['round']}: звонить {_endpoints(a)} в течение {_number(a['seconds'])} с",
        "wait": lambda a: (
            f"держать звонящего на ожидании не дольше {_number(a['seconds'])} с"
            f"{_place(a, ', {}-й в очереди')}{_said(a, ', проиграв ')}"
        ),
        "record": lambda a: f"записать сообщение не длиннее {_number(a['seconds'])} с{_prompt(a, ' после ')}",
        "find_owner": lambda a: f"спросить CRM, кто отвечает за {a['caller']}, не дольше {a['timeout_ms']} мс",
        "find_history": lambda a: f"спросить, звонил ли раньше {a['caller']}, не дольше {a['timeout_ms']} мс",
        "call_webhook": lambda a: f"спросить {a['url']}, не дольше {a['timeout_ms']} мс",
        "transfer": lambda a: f"перевести вызов на {a['to']}",
        "talk": lambda a: f"разговор с {a['endpoint']}",
        "hang_up": lambda a: f"повесить трубку ({a['cause']}){_prompt(a, ' после ')}",
        "end": lambda a: f"вызов завершён: {a['disposition']}, по чьей вине: {a['fault']}",
    },
}

_EFFECTS: Final[dict[str, dict[str, Callable[[Json], str]]]] = {
    "en": {
        "sms": lambda e: f"SMS to {e['to']}: {e['text']}",
        "email": lambda e: f"e-mail to {e['to']}{_subject(e)}: {e['text']}",
        "task": lambda e: f"task for {e['assign']}: {e['title']}",
        "missed_call": lambda e: f"missed call from {e['caller'] or 'a withheld number'}",
        "voicemail": lambda e: f"voicemail message of {_number(e['seconds'])} s: {e['recording']}",
        "tag": lambda e: "tag " + ", ".join(f"{key}={value}" for key, value in e["set"].items()),
    },
    "ru": {
        "sms": lambda e: f"SMS для {e['to']}: {e['text']}",
        "email": lambda e: f"письмо для {e['to']}{_subject(e)}: {e['text']}",
        "task": lambda e: f"задача для {e['assign']}: {e['title']}",
        "missed_call": lambda e: f"пропущенный вызов от {e['caller'] or 'скрытого номера'}",
        "voicemail": lambda e: f"голосовое сообщение, {_number(e['seconds'])} с: {e['recording']}",
        "tag": lambda e: "метка " + ", ".join(f"{key}={value}" for key, value in e["set"].items()),
    },
}

_LABELS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "calls": "calls",
        "withheld": "a withheld number",
        "event": "event",
        "effect": "also",
        "action": "now",
    },
    "ru": {
        "calls": "звонит на",
        "withheld": "скрытый номер",
        "event": "событие",
        "effect": "также",
        "action": "теперь",
    },
}
