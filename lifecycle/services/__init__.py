"""Every write of lifecycle, one file per noun."""
