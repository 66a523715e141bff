"""An Asterisk that asks by FastAGI: one connection a call, opened by the dialplan."""
