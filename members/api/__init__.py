"""The REST face of members under /api/v1/."""
