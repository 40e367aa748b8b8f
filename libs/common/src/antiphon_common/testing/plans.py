"""What a database is going to do for the queries of a block, on either dialect."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event

from antiphon_common.db import Database


@asynccontextmanager
async def plans_of(database: Database) -> AsyncIterator[list[str]]:
    """One text for each query of the block, there once it has ended.

    Postgres is told to avoid whatever is not a walk along an index, because it reads small tables whole: the
    plan says what it can do with a large one. `sorts` tells whether a plan had to sort.
    """
    seen: list[tuple[str, Any]] = []
    # Only what is asked of the engine shows its plan; on Postgres the readers are made from the writer's.
    reader = (database._reader if database.is_sqlite else database._writer).sync_engine  # noqa: SLF001

    def note(_c: object, _k: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    plans: list[str] = []
    event.listen(reader, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(reader, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    async with database.read(snapshot=True) as connection:
        if not database.is_sqlite:
            for method in ("seqscan", "bitmapscan", "sort", "incremental_sort", "hashjoin", "mergejoin"):
                await connection.exec_driver_sql(f"SET LOCAL enable_{method} = off")
        for statement, parameters in seen:
            rows = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
            plans.append("\n".join(str(row[-1]) for row in rows))


def sorts(plan: str) -> bool:
    """Whether rows are brought into order after they were read."""
    return "TEMP B-TREE" in plan or "Sort" in plan
