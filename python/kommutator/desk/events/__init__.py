"""What happens, as it happens, for one page."""
