"""Every read of lifecycle that is not trivial."""
