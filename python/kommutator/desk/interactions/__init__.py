"""Contacts with clients."""
