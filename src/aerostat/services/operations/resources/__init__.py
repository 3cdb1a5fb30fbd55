"""What the operation record is asked."""
