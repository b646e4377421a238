"""The corpus for people who know SQL, or nearly: `litecot sql`, `ask`, `describe`, `export`."""
