"""The person's own pages: inbox, preferences, confirmation of an address."""
