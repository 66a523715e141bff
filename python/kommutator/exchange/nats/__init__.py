"""The exchange on asyncio: the one client of NATS, and what a desk does with it."""
