"""What a company's day would be like: its own engine and hunts, played in virtual time with callers and agents by chance."""
