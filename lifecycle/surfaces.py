"""Where lifecycle appears on pages of others."""
