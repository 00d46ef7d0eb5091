"""Migrations of members."""
