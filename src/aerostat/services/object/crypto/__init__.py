"""Encryption at rest: the keys, and what is done with them."""
