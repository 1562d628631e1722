"""The processes that send probes and count what arrives; each runs inside one network namespace.

They import little but the standard library, so that they start fast, and write raw logs (`cloud.rawlog`).
"""
