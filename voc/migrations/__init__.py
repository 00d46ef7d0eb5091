"""Migrations of voc."""
