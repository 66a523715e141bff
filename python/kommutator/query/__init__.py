"""Routing queries: where a call should go, asked by whoever performs it himself."""
