"""What keeps the store consistent. Each daemon looks at what is, works out what differs, and mends it."""
