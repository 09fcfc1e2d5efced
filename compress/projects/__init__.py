"""Projects: a user's network, data and settings, named by options or by a file hil.toml."""
