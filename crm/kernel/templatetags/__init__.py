"""Template filters of the kernel."""
