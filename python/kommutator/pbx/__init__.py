"""Adapters: each translates between the routing ports and one kind of PBX, and decides nothing."""
