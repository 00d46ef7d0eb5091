"""Tests of consent, choices, pressure, exports, corrections, erasure, retention and the register."""
