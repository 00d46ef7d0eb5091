"""Commands of crm."""
