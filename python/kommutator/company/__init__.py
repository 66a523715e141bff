"""The company document: from YAML to what the engine takes, and back to lines of the YAML when something is wrong."""

from kommutator.company.prompts import PromptSource
from kommutator.company.reader import LoadedCompany, load
from kommutator.company.report import CheckReport, check, check_loaded, locate_all

__all__ = ["CheckReport", "LoadedCompany", "PromptSource", "check", "check_loaded", "load", "locate_all"]
