"""What every projection does with events about one subject that two instances handle at the same moment."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from antiphon_common.bus.envelope import Announceable
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.races import raced


@dataclass(frozen=True, slots=True)
class Projection:
    """Rows of `columns` (their revision, and whether the subject is gone), kept by `handlers` from events."""

    database: Database
    open_unit: Callable[[], AbstractAsyncContextManager[Any]]
    handlers: Mapping[type[Any], Callable[[Any, Any], Any]]
    changed: Callable[..., Announceable]
    gone: Callable[..., Announceable]
    columns: Sequence[Any]

    async def hear(self, event: Announceable, unit: Any) -> None:
        await self.handlers[type(event)](unit, event)

    async def race(self, first: Announceable, second: Announceable) -> None:
        await raced(self.open_unit, partial(self.hear, first), partial(self.hear, second))

    async def begin(self, subject: UUID) -> None:
        async with self.open_unit() as unit:
            await self.hear(self.changed(subject=subject, revision=1), unit)

    async def known(self) -> list[tuple[object, ...]]:
        async with self.database.read() as connection:
            return [tuple(row) for row in await connection.execute(select(*self.columns))]


class ProjectionSuite:
    """Subclass it, say these three, and define the fixture `changed`, which makes what `gone` ends.

    The service's fixtures are `database`, which knows of nothing yet, and `open_unit`.
    """

    handlers: Mapping[type[Any], Callable[[Any, Any], Any]]
    columns: Sequence[Any]
    gone: Callable[..., Announceable]

    @pytest.fixture
    def projection(
        self,
        database: Database,
        open_unit: Callable[[], AbstractAsyncContextManager[Any]],
        changed: Callable[..., Announceable],
    ) -> Projection:
        return Projection(
            database, open_unit, self.handlers, changed=changed, gone=self.gone, columns=self.columns
        )

    @pytest.mark.parametrize("order", [(3, 2), (2, 3)])
    async def test_of_two_changes_of_a_known_subject_the_newer_one_wins(
        self, projection: Projection, order: tuple[int, int]
    ) -> None:
        subject = new_id()
        await projection.begin(subject)
        await projection.race(*(projection.changed(subject=subject, revision=each) for each in order))
        assert await projection.known() == [(3, False)]

    async def test_of_two_first_events_of_a_subject_the_newer_one_wins(self, projection: Projection) -> None:
        subject = new_id()
        await projection.race(*(projection.changed(subject=subject, revision=each) for each in (3, 2)))
        assert await projection.known() == [(3, False)]

    @pytest.mark.parametrize("is_known", [True, False])
    async def test_a_subject_that_is_deleted_while_it_changes_stays_deleted(
        self, projection: Projection, is_known: bool
    ) -> None:
        subject = new_id()
        if is_known:
            await projection.begin(subject)
        await projection.race(
            projection.gone(subject=subject, revision=3), projection.changed(subject=subject, revision=2)
        )
        assert await projection.known() == [(3, True)]
