"""Deterministic simulation: production decisions under a clock, a network and a store of our own. See `world`."""
