"""Rights of machines."""
