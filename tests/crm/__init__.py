"""Tests of crm: people, the door, merges, consent."""
