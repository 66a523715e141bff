"""Telephones in the browser: where they register, and as whom."""
