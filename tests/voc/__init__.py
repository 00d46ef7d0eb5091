"""Tests of voc."""
