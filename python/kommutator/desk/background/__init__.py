"""What the desk process does besides HTTP: long tasks around the database and the exchange."""
