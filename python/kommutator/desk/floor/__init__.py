"""Who is at the workplace, and whose line is free."""
