"""Interests: what clients want, and who is responsible."""
