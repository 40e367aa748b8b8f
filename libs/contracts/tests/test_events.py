"""What every event is, whoever publishes it."""

from importlib import import_module
from pkgutil import iter_modules

import pytest
from pydantic import ValidationError

import antiphon_contracts
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.event import Event

MODULES = [name for _, name, _ in iter_modules(antiphon_contracts.__path__)]


def published_by(module: str) -> list[type[Event]]:
    found = vars(import_module(f"antiphon_contracts.{module}")).values()
    return [x for x in found if isinstance(x, type) and issubclass(x, Event) and x is not Event]


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"event"}))
def test_a_publisher_has_its_own_module_and_its_name_in_every_type(module: str) -> None:
    own = [event for event in published_by(module) if event.__module__ == f"antiphon_contracts.{module}"]
    assert own
    assert all(event.type.startswith(f"{module}.") for event in own)


def test_no_two_events_have_the_same_type() -> None:
    events = {event for module in MODULES for event in published_by(module)}
    assert len({event.type for event in events}) == len(events)


def test_an_event_is_frozen_and_tolerates_fields_it_does_not_know() -> None:
    data = {"subject": "018f0000-0000-7000-8000-000000000000", "revision": 1, "added_later": True}
    event = AccountDeleted.model_validate(data)
    with pytest.raises(ValidationError):
        event.revision = 2  # type: ignore[misc]


@pytest.mark.parametrize("revision", [0, -1, None, "x"])
def test_a_revision_counts_from_one(revision: object) -> None:
    with pytest.raises(ValidationError):
        AccountDeleted.model_validate(
            {"subject": "018f0000-0000-7000-8000-000000000000", "revision": revision}
        )
