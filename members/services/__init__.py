"""Every write of members, one file per noun."""
