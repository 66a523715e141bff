"""The desk process with real servers around it."""
