"""Versions of the company document."""
