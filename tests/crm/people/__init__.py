"""People: search, suggestions, accounts, notes and the customer page."""
