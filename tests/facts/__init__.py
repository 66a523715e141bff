"""Owners and callers on their way to routers."""
