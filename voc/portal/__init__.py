"""The public pages of voc: give feedback, follow a ticket, read the changelog."""
