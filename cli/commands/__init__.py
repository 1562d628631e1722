"""One module for each group of commands: each translates, calls an API, and prints."""
