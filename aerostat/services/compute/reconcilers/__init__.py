"""Repair of drift between what the rows say and what hosts, ports and placement are."""

from .providers import providers

RECONCILERS = (providers,)
