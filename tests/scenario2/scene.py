"""A client at a SIP phone, Anna and Boris at their desks and SIP phones: where scenario No. 2 and its detours are played."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from playwright.sync_api import Page, expect

from tests.scenario2.house import OFFICE, House
from tests.telephony.dialogs import Behaviour
from tests.telephony.hearing import talk
from tests.telephony.sipp import Caller, Phone, media_address

BY_HAND = Behaviour("answer", after=600)
"""Rings until the test picks it up."""


class Scene:
    """A client who calls, Anna and Boris at their desks and phones."""

    def __init__(self, house: House, stack: ExitStack, number: str, manager: Behaviour) -> None:
        self.house = house
        self.number = number
        self.operators_phone = stack.enter_context(Phone(house.asterisk, "101", BY_HAND))
        self.managers_phone = stack.enter_context(Phone(house.asterisk, "103", manager))
        self.client = stack.enter_context(Caller(house.asterisk, OFFICE, number))
        house.idle("anna", "boris")
        self.anna = house.page("anna")
        self.boris = house.page("boris", "/work")
        self.registered = house.registered()
        self.call_id = ""

    def call(self) -> None:
        """The client calls, and the operator's phone rings."""
        self.client.call()
        self.call_id = self.house.said(event="call began", caller=self.number)["call"]
        self.operators_phone.wait_for("180")

    def pick_up(self) -> None:
        """The operator picks her phone up, and talks with the client."""
        self.operators_phone.act()
        self.operators_phone.wait_for("ACK")
        self.client.line.connect(media_address(self.client.wait_for("200", of="INVITE").text))
        expect(self.anna.get_by_label("Тип услуги")).to_be_focused()
        talk(self.client.line, self.operators_phone.line)

    def consult(self) -> None:
        """The operator finds out what it is about, and asks the manager who comes first."""
        self.anna.get_by_label("Тип услуги").select_option(label="Поставка оборудования")
        self.anna.keyboard.press("F4")
        picker = self.anna.get_by_role("dialog", name="Перенаправить")
        expect(picker.get_by_role("option").first).to_contain_text("Борис Орлов")
        self.anna.keyboard.press("Enter")
        expect(picker).to_have_count(0)

    def busy(self) -> None:
        """The operator has been told that the manager is busy, and talks with the client again."""
        expect(self.anna.get_by_text("Борис Орлов: линия занята").first).to_be_visible()
        expect(self.anna.get_by_text("с вами в ближайшее время свяжется наш менеджер")).to_be_visible()
        assert self.managers_phone.wait_for("486")
        talk(self.client.line, self.operators_phone.line)

    def consult_and_agree(self) -> None:
        """The manager picks his phone up, too."""
        self.consult()
        self.managers_phone.wait_for("180")
        self.managers_phone.act()
        expect(self.anna.get_by_text("Менеджер на линии")).to_be_visible()
        talk(self.operators_phone.line, self.managers_phone.line)

    def passed(self) -> None:
        """The manager has the client, on the legs that there were, and the operator is free."""
        self.operators_phone.wait_for("BYE")
        expect(self.anna.get_by_text("Звонков нет")).to_be_visible()
        talk(self.client.line, self.managers_phone.line)
        for phone in (self.operators_phone, self.managers_phone):
            assert len({each.call_id for each in phone.rung()}) == 1
        assert self.house.registered() == self.registered

    def ends(self) -> None:
        """The client hangs up, and everybody is free."""
        self.client.hang_up()
        self.client.wait_end()
        assert self.house.ledger("office", self.call_id)["disposition"] == "answered"
        self.house.idle("anna", "boris")

    def added(self) -> dict[str, int]:
        """What was registered since the beginning."""
        return {kind: count - self.registered[kind] for kind, count in self.house.registered().items()}


def on(number: str, manager: Behaviour) -> pytest.MarkDecorator:
    """The scene of a test."""
    return pytest.mark.parametrize("scene", [(number, manager)], indirect=True, ids=[number])


def fill(page: Page, **values: str) -> None:
    """Types into fields, by their labels."""
    for label, value in values.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(value)
