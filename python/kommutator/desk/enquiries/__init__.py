"""Acceptance of what an operator has taken down."""
