"""What the tables promise: the schema, and lists that are read along an index at any depth."""

from typing import Any

import pytest

from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.db.migrations import differences, downgrade, migrate
from antiphon_common.errors import Invalid
from antiphon_common.ids import new_id
from antiphon_common.pages import encode_cursor
from antiphon_common.principal import Principal
from antiphon_common.testing.plans import plans_of, sorts
from antiphon_library import queries
from antiphon_library.settings import Settings
from antiphon_library.tables import Base

NOW = FixedClock().now()


def test_the_migrations_make_exactly_what_the_models_say(settings: Settings) -> None:
    assert differences(Base.metadata, settings.database_url) == []


def test_the_migrations_can_be_taken_back_and_run_again(settings: Settings) -> None:
    downgrade("antiphon_library", settings.database_url)
    migrate("antiphon_library", settings.database_url)
    assert differences(Base.metadata, settings.database_url) == []


async def test_every_list_is_read_along_its_index_without_sorting(database: Database) -> None:
    ada = Principal(
        user_id=new_id(),
        roles=frozenset(),
        session=new_id(),
        verified=True,
        issued_at=NOW,
        authenticated_at=NOW,
    )
    place = (NOW.isoformat(), str(new_id()))
    page: dict[str, Any] = {"limit": 20}
    place_in_history = encode_cursor("history", place)
    async with plans_of(database) as plans:
        await queries.kept(database, "track", ada, **page, cursor=encode_cursor("kept-track", place))
        await queries.recently_played(database, ada, **page, cursor=encode_cursor("recently-played", place))
        await queries.history(database, ada, **page, cursor=place_in_history, since=NOW, until=NOW)
    for plan, index in zip(plans, ["ix_keep_newest", "ix_recent_newest", "ix_play_history"], strict=True):
        assert index in plan, plan
        assert not sorts(plan), plan


@pytest.mark.parametrize(
    "place", [("x", str(NOW)), (NOW.isoformat(), "x"), ("0001-01-01T00:00:00+23:59", str(new_id())), ("", "")]
)
async def test_a_cursor_that_somebody_made_up_is_refused(database: Database, place: tuple[str, str]) -> None:
    ada = Principal(
        user_id=new_id(),
        roles=frozenset(),
        session=new_id(),
        verified=True,
        issued_at=NOW,
        authenticated_at=NOW,
    )
    with pytest.raises(Invalid):
        await queries.kept(database, "track", ada, limit=1, cursor=encode_cursor("kept-track", place))
    cursor = encode_cursor("recently-played", place)
    with pytest.raises(Invalid):
        await queries.recently_played(database, ada, limit=1, cursor=cursor)
