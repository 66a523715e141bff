"""Rights of machines: tokens with scopes."""

from __future__ import annotations

from typing import Any

from kommutator.crm import accounts
from kommutator.crm.accounts import ApiToken
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.tokens.forms import NewToken, Token, TokenForm, Tokens

feature = Feature("tokens", "Rights of machines: tokens with scopes, shown once, revoked at any time")


@feature.get("/api/tokens", returns=Tokens)
async def list_tokens(asked: Asked) -> Tokens:
    """All tokens, the newest first, without their secrets."""
    async with asked.transaction() as tx:
        return Tokens(items=[Token(**_fields(each)) for each in await accounts.tokens(tx)])


@feature.post("/api/tokens", body=TokenForm, returns=NewToken, statuses=(201,))
async def create_token(asked: Asked, body: TokenForm) -> NewToken:
    """Makes a token; its secret is told only now."""
    async with asked.transaction() as tx:
        secret, made = await accounts.create_token(tx, body.name, body.scopes, asked.now, expires_at=body.expires_at)
    return NewToken(secret=secret, **_fields(made))


@feature.delete("/api/tokens/<id:token_id>")
async def revoke_token(asked: Asked, token_id: int) -> None:
    """The token is worth nothing from now on."""
    async with asked.transaction() as tx:
        await accounts.revoke_token(tx, token_id, asked.now)


def _fields(found: ApiToken) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "scopes": sorted(found.scopes),
        "created_by": found.created_by,
        "created_at": found.created_at,
        "expires_at": found.expires_at,
        "used_at": found.used_at,
        "revoked_at": found.revoked_at,
    }
