"""Checks one item against its model, and words what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kommutator.company.findings import READER_CODES, At, Finding, did_you_mean
from kommutator.company.models import Model
from kommutator.company.source import Value, type_names

M = TypeVar("M", bound=Model)

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def fit(model: type[M], value: Value, at: At, findings: list[Finding]) -> M | None:
    """`value` as a `model`; what does not fit becomes findings, and None. An empty value is a mapping without keys."""
    try:
        return model.model_validate({} if value is None else value)
    except ValidationError as error:
        findings.extend(_worded(details, at, model) for details in error.errors(include_url=False))
        return None


def _worded(details: ErrorDetails, at: At, model: type[Model]) -> Finding:
    steps = [str(step) for step in details["loc"] if step != "[key]"]
    where = (*at, *steps)
    name = _called(steps, at)
    kind = details["type"]
    got = details["input"]
    context: dict[str, Any] = details.get("ctx") or {}
    if kind in READER_CODES:
        return Finding(kind, f"{name}: {details['msg']}", where)
    if kind == "extra_forbidden":
        known = _keys_at(model, steps[:-1])
        hint = did_you_mean(steps[-1], known)
        return Finding("unknown_key", f"{_called(steps[:-1], at)}: unknown key `{steps[-1]}`{hint}", where)
    if kind == "missing":
        return Finding("missing_key", f"{_called(steps[:-1], at)}: `{steps[-1]}` is missing", where)
    if kind == "literal_error":
        given = got if isinstance(got, str) else type_names.get(type(got), "something else")
        return Finding("wrong_value", f"{name}: `{given}` is not one of {context['expected']}", where)
    if kind in _WANTED:
        given = f"{got:g}" if isinstance(got, float) else type_names.get(type(got), "a number")
        return Finding("wrong_type", f"{name} must be {_WANTED[kind]}, not {given}", where)
    if kind == "string_pattern_mismatch":
        return Finding("wrong_value", f"{name}: `{got}` is no language tag such as `ru` or `en-GB`", where)
    if kind == "string_too_short":
        return Finding("out_of_range", f"{name} must not be empty", where)
    message = details["msg"].removeprefix("Input ").replace("should be", "must be")
    return Finding("out_of_range", f"{name} {message}", where)


def _called(steps: list[str], at: At) -> str:
    """How a value is called in a message: by its nearest key, an item of a list with its number."""
    names = [*at, *steps]
    if len(names) > 1 and names[-1].isdigit() and steps:
        return f"`{names[-2]}`, item {int(names[-1]) + 1}"
    return f"`{names[-1]}`"


def _keys_at(model: type[Model], steps: list[str]) -> Iterable[str]:
    """The keys that may stand at `steps` below a model: looked up through the models of nested fields."""
    for step in steps:
        if step.isdigit():
            continue
        field = model.model_fields.get(step)
        nested = _model_in(field.annotation) if field else None
        if nested is None:
            return ()
        model = nested
    return model.model_fields


def _model_in(annotation: Any) -> type[Model] | None:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_in(inner):
            return found
    return None
