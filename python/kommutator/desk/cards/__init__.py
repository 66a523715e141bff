"""The company's cards, changed by making another version."""
