"""What makes the pages of `docs/` a site, and what of them is made from the code."""
