"""Placement: what each provider has, and who holds it."""
