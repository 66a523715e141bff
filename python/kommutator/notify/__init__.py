"""Notices on their way out: SMS, e-mail and voicemail, from an outbox. Everything here is asyncio."""
