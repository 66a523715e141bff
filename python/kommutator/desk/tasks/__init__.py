"""What calls leave to somebody."""
