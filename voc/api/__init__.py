"""The REST face of voc under /api/v1/."""
