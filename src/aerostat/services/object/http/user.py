"""Who asks, as an auth middleware found out."""

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """`groups` are what ACLs may name: `ACCOUNT:USER`, `ACCOUNT`, roles as the kind of auth has them. `account` is the
    user's own. `name` is for the log. A reseller admin may do all in all accounts; so may an operator in its own.
    """

    name: str
    account: str
    groups: frozenset[str] = frozenset()
    is_operator: bool = False
    is_reseller_admin: bool = False
    service_groups: frozenset[str] = frozenset()
    """Of the service through which the user asks, by its own token."""
