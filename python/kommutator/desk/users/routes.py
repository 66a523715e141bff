"""Who may sign in."""

from __future__ import annotations

from kommutator.crm import accounts, audit
from kommutator.desk.operations import Asked, Feature, Reply
from kommutator.desk.users.forms import PasswordForm, User, UserChange, UserForm, Users

feature = Feature("users", "Accounts of people")


@feature.get("/api/users", returns=Users)
async def list_users(asked: Asked) -> Users:
    """All accounts by login."""
    async with asked.transaction() as tx:
        return Users(items=[User.model_validate(each) for each in await accounts.users(tx)])


@feature.post("/api/users", body=UserForm, returns=User, statuses=(201,), revision=True)
async def create_user(asked: Asked, body: UserForm) -> Reply:
    """Makes an account."""
    async with asked.transaction() as tx:
        made = await accounts.create_user(
            tx,
            body.login,
            body.name,
            body.role,
            body.password,
            asked.now,
            asked.services.accounts,
            employee=body.employee,
        )
    return Reply(User.model_validate(made), 201, {"Location": f"/api/users/{made.id}"})


@feature.get("/api/users/<id:user_id>", returns=User, revision=True)
async def get_user(asked: Asked, user_id: int) -> User:
    """One account."""
    async with asked.transaction() as tx:
        return User.model_validate(await accounts.get_user(tx, user_id))


@feature.put("/api/users/<id:user_id>", body=UserChange, returns=User, revision=True, if_match=True)
async def change_user(asked: Asked, user_id: int, revision: int, body: UserChange) -> User:
    """Writes everything of the form over an account. The last administrator stays one."""
    async with asked.transaction() as tx:
        changed = await accounts.change_user(
            tx, user_id, revision, name=body.name, role=body.role, employee=body.employee, active=body.active
        )
    return User.model_validate(changed)


@feature.put("/api/users/<id:user_id>/password", body=PasswordForm)
async def set_user_password(asked: Asked, user_id: int, body: PasswordForm) -> None:
    """Sets another password; the user is signed out everywhere."""
    async with asked.transaction() as tx:
        await accounts.set_password(tx, user_id, body.password, asked.services.accounts)


@feature.post("/api/users/<id:user_id>/sign-out")
async def sign_user_out(asked: Asked, user_id: int) -> None:
    """Ends all sessions of a user."""
    async with asked.transaction() as tx:
        await accounts.get_user(tx, user_id)
        ended = await accounts.sign_out_everywhere(tx, user_id)
        await audit.record(tx, "user.sign_out", "user", user_id, {"sessions": ended})
