"""Every query of the ledger. Functions take the transaction and return rows; rules are elsewhere."""
