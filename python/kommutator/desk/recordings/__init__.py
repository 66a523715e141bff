"""Recordings and their sound."""
