"""What desks show as it happens: calls as cards, the floor, and whatever else pages are told."""
