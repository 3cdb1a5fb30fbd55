"""Who may, by default: upstream's three usual answers, as the compute API's rules use them."""

from aerostat.kernel.policy import Rule
from aerostat.kernel.policy.terms import Term, admin, owner, project_member, project_reader

READER = admin | project_reader
MEMBER = admin | project_member
ADMIN = admin
OWN_USER = admin | owner("user_id")


def rules(*pairs: tuple[str, Term]) -> tuple[Rule, ...]:
    """Rules to declare beside those of a resource's verbs."""
    return tuple(Rule(name=name, text=term.text) for name, term in pairs)
