"""Who asks, and what he may.

Sessions are rows of the database, so that they can be ended from anywhere, at once, and survive a restart; a signed cookie
that carries its own right, such as quart-auth's, could not be taken back. So the cookie holds a random token only.
"""
