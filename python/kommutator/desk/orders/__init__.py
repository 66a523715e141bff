"""What is to be done with a call."""
