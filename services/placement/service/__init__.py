"""Use cases, by resource. Each runs in the transaction it is given."""
