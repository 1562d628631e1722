"""What goes wrong in a cloud, made to go wrong on purpose."""
