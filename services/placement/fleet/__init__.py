"""What is done to a node as a whole: fenced, let in again, evacuated, drained."""
