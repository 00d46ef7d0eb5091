"""To be filled in with the services."""
