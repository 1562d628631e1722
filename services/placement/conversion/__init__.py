"""A zone's passage nat → dual → routed, made of waves of port conversions."""
