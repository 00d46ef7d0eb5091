"""Benches: our figure beside its limit, measured in the same run on the same machine.

`make bench` runs all, `make bench BENCH=name` one. Each bench starts the real system on a folder of its own
with durable settings, prints a readable table and one JSON line per goal, and leaves nothing behind.
Absolute figures depend on the machine; the ratios are the goals.
"""
