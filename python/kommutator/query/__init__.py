"""Routing queries: those who ask where a call should go, and do the rest themselves."""
