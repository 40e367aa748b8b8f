"""Which schema a package's code was written for, and whether a database has it."""

from importlib.resources import files

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from antiphon_common.errors import Conflict


def revisions(package: str) -> list[str]:
    """The revisions that the code knows, oldest first: a migration's file is named for its revision."""
    names = (entry.name for entry in files(package).joinpath("migrations", "versions").iterdir())
    return sorted(name.removesuffix(".py") for name in names if name[:1].isdigit() and name.endswith(".py"))


def present(connection: Connection) -> str | None:
    """The revision of the database; none when it was never migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def refuse_newer(found: str | None, package: str) -> None:
    """Raise `Conflict` when the database has a schema that this code does not know."""
    known = revisions(package)
    if found is not None and found not in known:
        raise Conflict(
            "database_schema_newer",
            f"The schema is {found}, newer than this version of {package} knows (up to {known[-1]}): "
            "run the newer version, or restore the backup made before the upgrade.",
        )


async def check_schema(connection: AsyncConnection, package: str) -> None:
    """Raise `Conflict` unless the database has the newest schema that the code knows."""
    found = await connection.run_sync(present)
    refuse_newer(found, package)
    newest = revisions(package)[-1]
    if found != newest:
        raise Conflict(
            "database_schema_older",
            f"The schema is {found or 'empty'} and {newest} is needed: run `python -m {package} migrate`.",
        )
