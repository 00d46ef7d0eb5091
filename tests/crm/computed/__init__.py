"""Computed traits, RFM and repurchase."""
