"""Where a packet for an address would go, and where what kernels hold differs from what they are to hold."""
