"""Tests of lifecycle: messages, journeys, portal."""
