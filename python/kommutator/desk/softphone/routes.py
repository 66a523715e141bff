"""The telephone in the browser."""

from __future__ import annotations

from kommutator.crm import people
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.softphone.forms import Softphone, SoftphoneAccount
from kommutator.desk.softphone.servers import user_of
from kommutator.errors import NotFound

feature = Feature("softphone", "The telephone in the browser, of employees whose card says `softphone: true`")


@feature.get("/api/me/softphone", returns=Softphone)
async def get_my_softphone(asked: Asked) -> Softphone:
    """The own telephone in the browser: whether there is one, and how it registers.

    The answer has the password of the own endpoint at the PBX, so no token is enough.
    """
    if asked.who.employee is None:
        return Softphone(state="off", account=None)
    try:
        async with asked.transaction() as tx:
            employee = await people.get(tx, asked.who.employee)
    except NotFound:
        return Softphone(state="off", account=None)
    if not (employee.softphone and employee.active):
        return Softphone(state="off", account=None)
    server, user = asked.services.softphones.of(employee.pbx), user_of(employee.endpoint)
    if server is None or user is None:
        return Softphone(state="not_configured", account=None)
    account = SoftphoneAccount(
        url=server.url, uri=f"sip:{user}@{server.host}", user=user, password=server.password(user)
    )
    return Softphone(state="ready", account=account)
