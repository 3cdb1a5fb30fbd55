"""From a log-in body to a token: who it is, whether that was enough, and where the token shall be good.

https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management
Every refusal of who somebody is reads the same, so that it tells nothing about which part was wrong.
"""

from typing import Any

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Unauthorized
from aerostat.kernel.http import Request

from . import accounts, grants, model, receipts
from .methods import METHODS, Proof, refused
from .scopes import scope_of, use_trust
from .tokens import Payload, Tokens

RECEIPT_HEADER = "openstack-auth-receipt"


async def log_in(req: Request, tokens: Tokens, auth: dict[str, Any]) -> tuple[str, Payload, Context]:
    """A new token for the body's `auth`, what is in it, and who it stands for.

    Raises `Unauthorized`, `BadRequest`; `MoreFactorsNeeded` when all is right and the account asks for more.
    """
    await tokens.look()
    user, proofs = await _proofs(req, tokens, auth["identity"])
    parent = next((proof.parent for proof in proofs.values() if proof.parent is not None), None)
    proved = [*(parent.methods if parent is not None else ()), *proofs]
    if text := req.headers.get(RECEIPT_HEADER):
        proved.extend(receipts.read(tokens, text, user))
    methods = tuple(dict.fromkeys(proved))
    _check_factors(tokens, user, methods)
    bound = next((proof.scope for proof in proofs.values() if proof.scope is not None), None)
    if bound is not None:
        if auth.get("scope") is not None:
            raise Unauthorized("Application credentials cannot request a scope.")
        acting, scope = user.id, bound
    else:
        acting, scope = await scope_of(req, user, auth.get("scope"), parent)
    token, payload = tokens.issue(acting, methods, parent=parent, **scope)
    try:
        context = await grants.context_of(req.db, payload)
    except (
        Unauthorized
    ) as error:  # disabled, or the rights that were given are gone: that is nobody's business
        raise Unauthorized(refused().text, detail=error.text) from None
    if payload.trust_id is not None:
        await use_trust(req, payload.trust_id)
    return token, payload, context


async def _proofs(req: Request, tokens: Tokens, identity: dict[str, Any]) -> tuple[Row, dict[str, Proof]]:
    """Each method's proof; all have to be of one user, whose account is in order."""
    proofs: dict[str, Proof] = {}
    user: Row | None = None
    for name in dict.fromkeys(identity["methods"]):
        method = METHODS.get(name)
        if method is None:
            raise Unauthorized(f"Attempted to authenticate with an unsupported method: {name}.")
        if name not in identity:
            raise BadRequest(
                f"Expecting to find {name} in identity. The server could not comply with the request."
            )
        proof = proofs[name] = await method(req, identity[name])
        if user is not None and user.id != proof.user.id:
            raise refused()
        user = proof.user
    assert user is not None
    if not accounts.is_enabled(user, tokens.config):
        raise refused()
    if await req.db.find(model.PROJECTS, id=user.domain_id, is_domain=True, enabled=True) is None:
        raise refused()
    await accounts.note_use(req.db, user, tokens.config)
    return user, proofs


def _check_factors(tokens: Tokens, user: Row, proved: tuple[str, ...]) -> None:
    """Raises `MoreFactorsNeeded`, with a receipt for those that were proved."""
    rules = receipts.rules_of(user)
    if rules and not any(set(rule) <= set(proved) for rule in rules):
        receipt = receipts.issue(user, proved, tokens.config.receipt_lifetime_s)
        raise receipts.MoreFactorsNeeded(user, receipt, rules)
