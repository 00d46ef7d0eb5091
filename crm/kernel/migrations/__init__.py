"""Schema of the kernel."""
