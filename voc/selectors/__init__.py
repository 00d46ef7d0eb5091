"""Reads of voc that are not trivial."""
