"""Calls as the ledger has them."""
