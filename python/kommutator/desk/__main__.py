"""`python -m kommutator.desk` writes the OpenAPI document."""

from __future__ import annotations

import sys

import orjson

from kommutator.desk.app import openapi

if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
