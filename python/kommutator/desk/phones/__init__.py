"""Virtual phones, where a PBX is simulated."""
