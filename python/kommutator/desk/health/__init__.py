"""Whether the desk lives, whether it can serve, and its figures."""
