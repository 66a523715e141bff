"""Asterisk by its REST interface (ARI): full control of every leg."""
