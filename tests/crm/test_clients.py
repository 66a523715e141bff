"""Clients: found in any spelling, merged without loss, changed by one at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kommutator.crm import client_search, clients, enquiries, interactions, interests, lookups, people
from kommutator.crm.answers import Answers
from kommutator.crm.clients import Draft
from kommutator.crm.enquiries import Enquiry
from kommutator.crm.pool import Database, Tx
from kommutator.errors import BadNumber, Conflict, NotFound, Refused

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)
COMPANY = {
    "company": {"name": "Ромашка", "country": "RU", "timezone": "Europe/Moscow", "language": "ru"},
    "service_types": {"equipment": {"name": "Поставка"}, "advice": {"name": "Консультация"}},
    "departments": {
        "sales": {"name": "Продажи", "service_types": ["equipment", "advice"]},
        "service": {"name": "Сервис", "service_types": []},
    },
    "employees": {
        "anna": {"name": "Анна", "department": "sales", "rank": 2},
        "boris": {"name": "Борис", "department": "sales", "rank": 1},
        "vera": {"name": "Вера", "department": "service"},
    },
}


@pytest.fixture
async def db(db: Database) -> Database:
    """A database with a company's people."""
    async with db.transaction() as tx:
        await people.project(tx, COMPANY)
    return db


async def ids(tx: Tx, typed: str) -> list[int]:
    return [client.id for client in await client_search.search(tx, typed)]


async def test_a_client_comes_back_as_written(db: Database) -> None:
    draft = Draft(
        "person", "Пётр Ёлкин", "ООО «Ель»", ("8 (916) 123-00-99", "+7 495 111-22-33"), "p@el.test", "заметка", "anna"
    )
    async with db.transaction("anna") as tx:
        made = await clients.create(tx, draft, NOW)
        assert made.draft == replace(draft, numbers=("+79161230099", "+74951112233"))
        assert await clients.get(tx, made.id) == made
        with pytest.raises(NotFound):
            await clients.get(tx, 10**6)


@pytest.mark.parametrize(
    "typed", ["+79161230099", "8 916 123-00-99", "7(916)1230099", "9161230099", "tel:+79161230099"]
)
async def test_a_whole_number_is_found_in_any_spelling(db: Database, typed: str) -> None:
    async with db.transaction() as tx:
        made = await clients.create(tx, Draft(numbers=("+79161230099",)), NOW)
        await clients.create(tx, Draft(numbers=("+79161230098",)), NOW)
        assert await ids(tx, typed) == [made.id]


async def test_parts_of_numbers_are_found_by_beginning_and_ending(db: Database) -> None:
    async with db.transaction() as tx:
        one = await clients.create(tx, Draft(numbers=("+79161230099",)), NOW)
        two = await clients.create(tx, Draft(numbers=("+79161230098",)), NOW)
        assert await ids(tx, "8916123") == await ids(tx, "+7 916 123") == [two.id, one.id]
        assert await ids(tx, "00-99") == [one.id]
        assert await ids(tx, "99") == []
        assert await ids(tx, "5550") == []


async def test_many_numbers_that_begin_so_do_not_hide_the_one_that_ends_so(db: Database) -> None:
    async with db.transaction() as tx:
        for n in range(25):
            await clients.create(tx, Draft(numbers=(f"+74951234{n:03}",)), NOW)
        one = await clients.create(tx, Draft(numbers=("+79164951234",)), NOW)
        found = await ids(tx, "495-12-34")
        assert one.id in found and len(found) == 20


@pytest.mark.parametrize("typed", ["ёлк", "ЕЛКИН", "петр елк", "елкин пётр", "ель", "ооо пет", "p@el.test"])
async def test_names_are_found_by_the_beginnings_of_their_words(db: Database, typed: str) -> None:
    async with db.transaction() as tx:
        made = await clients.create(tx, Draft(name="Пётр Ёлкин", organisation="ООО «Ель»", email="P@el.test"), NOW)
        await clients.create(tx, Draft(name="Павел Сосин"), NOW)
        assert await ids(tx, typed) == [made.id]
        assert await ids(tx, "сидоров") == []
        assert await ids(tx, "«»") == []


async def test_of_several_words_all_must_fit_and_the_last_contact_comes_first(db: Database) -> None:
    async with db.transaction() as tx:
        made = [await clients.create(tx, Draft(name=f"Иван Иванов {n}"), NOW) for n in range(30)]
        rare = await clients.create(tx, Draft(name="Иван Хрущ"), NOW)
        await clients.touched(tx, made[7].id, NOW)
        assert (await ids(tx, "иван"))[0] == made[7].id
        assert await ids(tx, "иван хрущ") == [rare.id]
        assert len(await ids(tx, "иван иванов")) == 20


async def test_a_number_may_stand_at_several_clients_but_once_at_each(db: Database) -> None:
    async with db.transaction() as tx:
        company = await clients.create(tx, Draft("company", "Ель", numbers=("+74951112233", "8 495 111-22-33")), NOW)
        assert company.numbers == ("+74951112233",)
        person = await clients.create(tx, Draft(name="Пётр", numbers=("+74951112233",), member_of=company.id), NOW)
        assert {client.id for client in await clients.by_number(tx, "+74951112233")} == {company.id, person.id}


async def test_what_cannot_be_is_refused_and_leaves_the_transaction_usable(db: Database) -> None:
    async with db.transaction() as tx:
        with pytest.raises(BadNumber):
            await clients.create(tx, Draft(numbers=("12",)), NOW)
        with pytest.raises(Refused, match="employee"):
            await clients.create(tx, Draft(owner="nobody"), NOW)
        with pytest.raises(Refused, match="company"):
            await clients.create(tx, Draft(member_of=10**6), NOW)
        await clients.create(tx, Draft(name="Анна"), NOW)


async def test_a_change_at_another_revision_is_a_conflict(db: Database) -> None:
    async with db.transaction() as tx:
        made = await clients.create(tx, Draft(name="Пётр", numbers=("+79161230099", "+79161230098")), NOW)
        draft = replace(made.draft, name="Павел", numbers=("+79161230098",))
        changed = await clients.change(tx, made.id, draft, 1, NOW)
        assert (changed.revision, changed.draft) == (2, draft)
        with pytest.raises(Conflict) as caught:
            await clients.change(tx, made.id, made.draft, 1, NOW)
        assert caught.value.revision == 2
        assert await ids(tx, "петр") == [] == await ids(tx, "+79161230099")
        assert await ids(tx, "павел") == [made.id]


async def test_merged_clients_keep_everything_once(db: Database) -> None:
    async with db.transaction("anna") as tx:
        kept = await clients.create(tx, Draft(name="Пётр", numbers=("+79161230099",), notes="один"), NOW)
        twin = await clients.create(
            tx,
            Draft(
                name="П. Ёлкин", numbers=("+79161230099", "+79161230098"), notes="два", owner="anna", email="a@b.test"
            ),
            NOW,
        )
        for client in (kept, twin):
            await interactions.add(tx, client.id, "call", NOW, call_id="c1")
        interest, _ = await interests.create(tx, twin.id, interests.Draft(assignee="anna"), "k", NOW)
        merged = await clients.merge(tx, kept.id, twin.id, NOW)
        assert merged.draft == Draft(
            "person", "Пётр", "", ("+79161230099", "+79161230098"), "a@b.test", "один\n\nдва", "anna", None
        )
        assert (await clients.get(tx, twin.id)).merged_into == kept.id
        assert [i.id for i in await interests.of_client(tx, kept.id)] == [interest.id]
        assert len(await interactions.of_client(tx, kept.id)) == 2
        assert [client.id for client in await clients.by_number(tx, "+79161230098")] == [kept.id]
        assert await ids(tx, "елкин") == []
        with pytest.raises(Refused):
            await clients.merge(tx, kept.id, twin.id, NOW)
        with pytest.raises(Refused):
            await clients.merge(tx, kept.id, kept.id, NOW)


# --- whose client


async def test_the_owner_is_who_still_works_here(db: Database) -> None:
    async with db.transaction() as tx:
        await clients.create(tx, Draft(numbers=("+79161230099",), owner="anna"), NOW)
        assert await lookups.owner(tx, "+79161230099") == "anna"
        assert await lookups.owner(tx, "+79161230000") is None
        left = {**COMPANY, "employees": {"boris": {"name": "Борис"}}}
        await people.project(tx, left)
        assert await lookups.owner(tx, "+79161230099") is None
        assert [e.id for e in await people.employees(tx)] == ["boris"]


async def test_of_several_owners_the_one_of_the_last_contact_is_meant(db: Database) -> None:
    async with db.transaction() as tx:
        company = await clients.create(tx, Draft("company", numbers=("+74951112233",), owner="anna"), NOW)
        assert await lookups.owner(tx, "+74951112233") == "anna"
        person = await clients.create(tx, Draft(numbers=("+74951112233",), owner="boris"), NOW)
        assert await lookups.owner(tx, "+74951112233") == "boris"  # the person before the company
        await interactions.add(tx, company.id, "call", NOW)
        assert await lookups.owner(tx, "+74951112233") == "anna"
        await interactions.add(tx, person.id, "call", NOW + timedelta(hours=1))
        assert await lookups.owner(tx, "+74951112233") == "boris"


async def test_every_change_of_an_owner_is_told_once_it_is_committed(db: Database) -> None:
    async with db.transaction() as tx:
        made = await clients.create(tx, Draft(numbers=("+79161230099",)), NOW)
    async with db.transaction() as tx:
        assert await lookups.take_changes(tx) == ["+79161230099"]
    with pytest.raises(KeyError):
        async with db.transaction() as tx:
            await clients.change(tx, made.id, replace(made.draft, owner="anna"), 1, NOW)
            raise KeyError
    async with db.transaction() as tx:
        assert await lookups.take_changes(tx) == []
        await clients.change(tx, made.id, replace(made.draft, notes="x"), 1, NOW)
        assert await lookups.take_changes(tx) == []
        await clients.change(tx, made.id, replace(made.draft, owner="anna", numbers=("+79161230098",)), 2, NOW)
        assert await lookups.take_changes(tx) == ["+79161230099", "+79161230098"]


# --- enquiries


ENQUIRY = Enquiry(
    key="draft-1",
    interest=interests.Draft(topic="Насос", to_do="Перезвонить", service_type="equipment", assignee="boris"),
    client_id=None,
    client=Draft(name="Пётр", numbers=("8 916 123-00-99",)),
    call_id="c1",
    employee="vera",
)


async def test_an_enquiry_accepted_twice_makes_one_interest(db: Database) -> None:
    async with db.transaction("vera") as tx:
        first = await enquiries.accept(tx, ENQUIRY, NOW)
    async with db.transaction("vera") as tx:
        again = await enquiries.accept(tx, ENQUIRY, NOW)
        assert (first.new, again.new) == (True, False)
        assert first.interest == again.interest
        client = await clients.get(tx, first.interest.client_id)
        assert (client.owner, client.numbers) == ("boris", ("+79161230099",))
        assert [i.topic for i in await interactions.of_client(tx, client.id)] == ["Насос"]
        assert await interests.of_assignee(tx, "boris") == [first.interest]
        assert [step.changes["assignee"] for step in await interests.history(tx, first.interest.id)] == [
            [None, "boris"]
        ]


async def test_an_enquiry_that_fails_leaves_nothing(db: Database) -> None:
    broken = replace(ENQUIRY, interest=replace(ENQUIRY.interest, service_type="unknown"))
    with pytest.raises(Refused, match="service type"):
        async with db.transaction("vera") as tx:
            await enquiries.accept(tx, broken, NOW)
    async with db.transaction() as tx:
        assert await ids(tx, "петр") == []


async def test_a_departments_enquiry_goes_to_whom_has_the_fewest(db: Database) -> None:
    async with db.transaction("vera") as tx:
        chosen = []
        for n in range(3):
            interest = interests.Draft(department="sales")
            accepted = await enquiries.accept(tx, replace(ENQUIRY, key=f"k{n}", interest=interest, call_id=None), NOW)
            chosen.append(accepted.interest.assignee)
        assert chosen == ["boris", "anna", "boris"]


async def test_an_interests_history_tells_every_change(db: Database) -> None:
    async with db.transaction("vera") as tx:
        made = (await enquiries.accept(tx, ENQUIRY, NOW)).interest
        draft = replace(made.draft, status="active", topic="Два насоса")
        changed = await interests.change(tx, made.id, draft, made.revision, NOW, "взял")
        with pytest.raises(Conflict):
            await interests.change(tx, made.id, draft, made.revision, NOW)
        with pytest.raises(Refused):
            await interests.change(tx, made.id, replace(draft, assignee=None), changed.revision, NOW)
        last = (await interests.history(tx, made.id))[-1]
        assert last.changes == {"topic": ["Насос", "Два насоса"], "status": ["new", "active"]}
        assert (last.actor, last.comment, last.revision) == ("vera", "взял", 2)
        await interests.change(tx, made.id, replace(draft, status="won"), 2, NOW)
        assert await interests.of_assignee(tx, "boris") == []


async def test_departments_are_found_by_service_type(db: Database) -> None:
    async with db.transaction() as tx:
        assert [e.id for e in await people.employees(tx, service_type="equipment")] == ["anna", "boris"]
        assert [(d.id, d.service_types) for d in await people.departments(tx)] == [
            ("sales", ("equipment", "advice")),
            ("service", ()),
        ]
        assert [s.id for s in await people.service_types(tx)] == ["equipment", "advice"]


async def test_routers_are_answered(db: Database) -> None:
    async with db.transaction() as tx:
        await clients.create(tx, Draft(numbers=("+79161230099",), owner="anna"), NOW)
    answers = Answers(db, lambda: NOW)
    assert await answers.owner_of("+79161230099") == "anna"
    assert await answers.owner_of("+79161230098") is None
    assert not await answers.called_before("+79161230099", None)
