"""Repair of drift between what the rows say and what hosts and placement are."""

from .cards import cards
from .orphans import orphans
from .power_states import power_states
from .providers import providers

RECONCILERS = (providers, power_states, orphans, cards)
