"""SMS and e-mail on their way out."""
