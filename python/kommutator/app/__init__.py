"""Processes put together: the only room that knows all the others. One module a process."""
