"""Clients by the million: each made of its place alone, so that every answer can be told without looking it up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kommutator.crm.clients import Draft

EMPLOYEES: Final = 100
_MOBILES: Final = 10**9
_LANDLINES: Final = 10**7
_STEP: Final = 618_033_989
"""Coprime to both, so that neighbours' numbers lie far apart, as those of real clients do."""


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_SURNAMES: Final = _listed(
    "Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов Новиков Фёдоров Морозов Волков Алексеев "
    "Лебедев Семёнов Егоров Павлов Козлов Степанов Николаев Орлов Андреев Макаров Никитин Захаров Зайцев Соловьёв "
    "Борисов Яковлев Григорьев Романов Воробьёв Сергеев Кузьмин Фролов Александров Дмитриев Королёв Гусев Киселёв "
    "Ильин Максимов Поляков Сорокин Виноградов Ковалёв Белов Медведев Антонов Тарасов Жуков Баранов Филиппов "
    "Комаров Давыдов"
)
_NAMES: Final = _listed(
    "Александр Сергей Дмитрий Андрей Алексей Максим Евгений Иван Михаил Артём Николай Владимир Илья Константин "
    "Павел Пётр Роман Виктор Олег Юрий Григорий Степан Фёдор Тимофей Матвей Глеб Лев Егор Кирилл Денис Антон "
    "Игорь Вадим"
)
_TRADES: Final = _listed("Строй Техно Агро Транс Мед Энерго Хим Лес Металл Прод Снаб Инвест Сервис Комплект Монтаж")


@dataclass(frozen=True, slots=True)
class Population:
    """So many clients, one in five a company; two numbers each, and an owner for nine in ten."""

    many: int

    def draft(self, place: int) -> Draft:
        """The client at a place, from 0."""
        if place % 5 == 0:
            name = f"ООО «{_TRADES[place % 15]}{_TRADES[place // 15 % 15]}-{place % 9973}»"
            return Draft("company", name, "", self.numbers(place), f"office@c{place}.test", "", self.owner(place))
        name = f"{_NAMES[place * 7 % len(_NAMES)]} {_SURNAMES[place * 11 % len(_SURNAMES)]} {place % 9973}"
        firm = f"{_TRADES[place % 15]}снаб" if place % 3 == 0 else ""
        return Draft("person", name, firm, self.numbers(place), f"p{place}@mail.test", "", self.owner(place))

    def drafts(self) -> Iterator[Draft]:
        """All of them."""
        return (self.draft(place) for place in range(self.many))

    def numbers(self, place: int) -> tuple[str, str]:
        """A mobile and a landline, no other client's."""
        return f"+79{place * _STEP % _MOBILES:09}", f"+7495{place * _STEP % _LANDLINES:07}"

    def owner(self, place: int) -> str | None:
        """The employee responsible."""
        return None if place % 10 == 9 else f"e{place * 13 % EMPLOYEES}"

    def called(self, place: int) -> bool:
        """Whether the first number has called before: every fourth."""
        return place % 4 == 0


def company() -> dict[str, Any]:
    """What `people.project` reads of an engine document: a hundred employees."""
    return {
        "company": {"name": "Ромашка", "country": "RU", "timezone": "Europe/Moscow", "language": "ru"},
        "service_types": {"equipment": {"name": "Поставка"}},
        "departments": {"sales": {"name": "Продажи", "service_types": ["equipment"]}},
        "employees": {f"e{n}": {"name": f"Сотрудник {n}", "department": "sales"} for n in range(EMPLOYEES)},
    }
