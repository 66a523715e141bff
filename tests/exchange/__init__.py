"""The exchange with a real nats-server, killed and started again."""
