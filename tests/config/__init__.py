"""Tests of the platform: environment, embedded servers, supervisor, health pages."""
