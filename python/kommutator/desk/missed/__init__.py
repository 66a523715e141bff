"""Calls that nobody answered."""
