"""Kommutator: a self-hosted call router with an operator's desk."""

from kommutator.engine import Engine
from kommutator.errors import (
    BadEvent,
    BadState,
    CompanyInvalid,
    CompanyUnreadable,
    EngineError,
    EngineFault,
    KommutatorError,
    UnexpectedEvent,
    UnknownEmployee,
)

__all__ = [
    "BadEvent",
    "BadState",
    "CompanyInvalid",
    "CompanyUnreadable",
    "Engine",
    "EngineError",
    "EngineFault",
    "KommutatorError",
    "UnexpectedEvent",
    "UnknownEmployee",
]
