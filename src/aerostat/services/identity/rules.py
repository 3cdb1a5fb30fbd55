"""The rules on which identity's others are built, under upstream's names: an operator changes them in one place.

https://docs.openstack.org/keystone/latest/configuration/policy.html
"""

from collections.abc import Mapping

from aerostat.kernel.policy import Policy, Rule, Term, admin

ADMIN = "rule:admin_required"
ANY_SCOPE = ("system", "domain", "project")
CLOUD_SCOPES = ("system", "project")
"""Of rules about things that belong to no domain: a domain's own token is refused, whatever its roles."""
SYSTEM_READER = f"{ADMIN} or (role:reader and system_scope:all)"
DOMAIN_READER = f"({SYSTEM_READER}) or (role:reader and domain_id:%(target.domain_id)s)"

BASE = (
    Rule(name="admin_required", text="role:admin or is_admin:1"),
    Rule(name="service_role", text="role:service"),
    Rule(name="service_or_admin", text="rule:admin_required or rule:service_role"),
    Rule(name="owner", text="user_id:%(user_id)s"),
    Rule(name="admin_or_owner", text="rule:admin_required or rule:owner"),
    Rule(name="token_subject", text="user_id:%(target.token.user_id)s"),
    Rule(name="admin_or_token_subject", text="rule:admin_required or rule:token_subject"),
    Rule(
        name="domain_managed_target_role",
        text="'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s",
    ),
)


def looked_at(kind: str) -> str:
    """Who reads things of a domain: administrators, and readers of the system or of that domain."""
    return f"({SYSTEM_READER}) or (role:reader and domain_id:%(target.{kind}.domain_id)s)"


def managed(kind: str) -> str:
    """Who changes things of a domain: administrators, and managers of that domain."""
    return f"{ADMIN} or (role:manager and domain_id:%(target.{kind}.domain_id)s)"


def rules(texts: dict[str, str], scopes: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """`{"create_trust": "user_id:…"}` as rules of identity, for tokens of these scopes (none: any)."""
    return tuple(Rule(name=f"identity:{name}", text=text, scopes=scopes) for name, text in texts.items())


def policy_of(
    kind: str,
    plural: str,
    *,
    default: Term = admin,
    scopes: tuple[str, ...] = CLOUD_SCOPES,
    verb_scopes: Mapping[str, tuple[str, ...]] | None = None,
    **per_verb: Term,
) -> Policy:
    """The rules of one kind of thing under upstream's names: `identity:get_user`, `identity:list_users`."""
    verbs = {"list": f"identity:list_{plural}", "show": "get"}
    return Policy(
        f"identity:{{verb}}_{kind}",
        default=default,
        scopes=scopes,
        verb_scopes=verb_scopes,
        verbs=verbs,
        **per_verb,
    )


LOOK = Term(SYSTEM_READER, 0)
"""Who reads what belongs to the cloud as a whole: administrators, and readers of the system."""
