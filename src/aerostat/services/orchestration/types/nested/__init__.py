"""Resource types that are stacks of their own, nested in the one they stand in."""
