"""One keyset page of any list: the same few lines for tracks, artists and albums.

A list is sorted by one column and, for ties, by the id, both in the same direction, so that one comparison of
pairs finds the place of a cursor in an index.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from antiphon_common.errors import FieldError, Invalid
from antiphon_common.pages import Key, Page, decode_cursor, page_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_MOST = 2**63


@dataclass(frozen=True, slots=True)
class Sort:
    """How a list is sorted: `field` names the sort value in the rows, `column` and `id` where it is found."""

    field: str
    column: ColumnElement[Any] | InstrumentedAttribute[Any]
    id: ColumnElement[Any] | InstrumentedAttribute[Any]
    kind: type
    descending: bool = True
    id_kind: Callable[[str], Key | UUID] = UUID


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a list is wanted."""

    limit: int
    cursor: str | None = None


def scope_of(name: str, wanted: "DataclassInstance") -> str:
    """What a list is called with its filters: a cursor of the list with other ones is refused."""
    chosen = {field: str(value) for field, value in asdict(wanted).items() if value is not None}
    return f"{name} {chosen}" if chosen else name


async def page(
    connection: AsyncConnection,
    query: Select[*tuple[Any, ...]],
    sort: Sort,
    *,
    part: Slice,
    scope: str,
    view: Callable[[RowMapping], Mapping[str, object]],
) -> Page[Mapping[str, object]]:
    """One page. The query must select `sort.field` and `id`. Raises `Invalid` for a foreign cursor."""
    pair = tuple_(sort.column, sort.id)
    if part.cursor is not None:
        after = _after(scope, part.cursor, sort)
        query = query.where(pair < after if sort.descending else pair > after)
    order = [column.desc() if sort.descending else column.asc() for column in (sort.column, sort.id)]
    rows = (await connection.execute(query.order_by(*order).limit(part.limit + 1))).mappings().all()
    found = page_of(rows, part.limit, scope=scope, key=lambda row: _key(row, sort))
    return Page([view(row) for row in found.items], found.next_cursor)


def _key(row: RowMapping, sort: Sort) -> tuple[Key, ...]:
    value = row[sort.field]
    return value.isoformat() if isinstance(value, datetime) else value, str(row["id"])


def _after(scope: str, cursor: str, sort: Sort) -> ColumnElement[Any]:
    kind = str if sort.kind is datetime else sort.kind
    value, last_id = decode_cursor(scope, cursor, kind, str)
    try:
        # A bool is an int to Python and a mistake to us; the databases hold 64 bits.
        if isinstance(value, bool) or (isinstance(value, int) and abs(value) >= _MOST):
            raise ValueError(value)
        moment = _moment(str(value)) if sort.kind is datetime else value
        return tuple_(literal(moment, sort.column.type), literal(sort.id_kind(str(last_id)), sort.id.type))
    except (ValueError, OverflowError) as error:
        field = FieldError("query.cursor", "invalid_cursor", "This cursor was not made by this list.")
        raise Invalid("invalid_cursor", "The cursor is not valid.", errors=[field]) from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC)
