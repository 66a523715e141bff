"""Clients: search, card, change, merge."""
