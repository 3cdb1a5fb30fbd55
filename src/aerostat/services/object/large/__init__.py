"""Objects that are made of others: what static and dynamic large objects have in common."""
