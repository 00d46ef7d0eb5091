"""Staff pages of crm."""
