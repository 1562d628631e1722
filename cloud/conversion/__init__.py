"""A zone of a local cloud leaves the central NAT under real packets, and what is lost on the way is counted."""
