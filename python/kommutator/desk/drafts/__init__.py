"""Half-filled wizards."""
