"""The REST face of crm under /api/v1/."""
