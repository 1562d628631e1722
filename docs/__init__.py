"""Pages, and what makes a site of them."""
