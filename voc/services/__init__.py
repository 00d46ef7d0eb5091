"""Every write of voc, one file per noun."""
