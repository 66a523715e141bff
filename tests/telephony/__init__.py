"""Real telephony for tests: Asterisk, SIPp callers and phones, and the evidence that they leave."""
