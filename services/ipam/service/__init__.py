"""What the ledger does. Each use case is one transaction and says who asked for it."""
