"""The loop around the engine: one task a call, and the ports through which it reaches a PBX and the disk."""
