"""The programs the kernel runs for us, in C, and what compiles them."""
