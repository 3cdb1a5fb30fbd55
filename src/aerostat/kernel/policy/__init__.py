"""Who may do what: upstream's policy language, its rules with operators' overrides, and why one said no.

Upstream: https://docs.openstack.org/oslo.policy/latest/reference/api/oslo_policy.policy.html
A resource declares a `Policy` out of terms; the process holds one `Rules`; `Rules.check` gives a `Verdict`.
"""

from .rules import PolicyFileError, Rule, Rules, Verdict
from .terms import (
    Policy,
    Term,
    admin,
    anyone,
    field,
    literal,
    manager,
    member,
    nobody,
    owner,
    project_manager,
    project_member,
    project_reader,
    reader,
    role,
    rule,
    service,
    service_token,
    system_admin,
    system_reader,
)
from .trace import Clause

__all__ = [
    "Clause",
    "Policy",
    "PolicyFileError",
    "Rule",
    "Rules",
    "Term",
    "Verdict",
    "admin",
    "anyone",
    "field",
    "literal",
    "manager",
    "member",
    "nobody",
    "owner",
    "project_manager",
    "project_member",
    "project_reader",
    "reader",
    "role",
    "rule",
    "service",
    "service_token",
    "system_admin",
    "system_reader",
]
