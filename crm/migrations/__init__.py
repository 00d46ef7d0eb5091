"""Migrations of crm."""
