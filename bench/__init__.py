"""Benches: what they print and write to docs/bench is measured on the machine they run on."""
