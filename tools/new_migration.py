"""Write a migration from the difference between a service's models and its migrations so far.

Usage: `python tools/new_migration.py catalog 0002_more_genres`
"""

import sys
import tempfile

from antiphon_common.db.migrations import autogenerate, migrate


def main() -> None:
    """Migrate an empty SQLite file to the newest schema, then compare the models with it."""
    service, name = sys.argv[1], sys.argv[2]
    package = f"antiphon_{service}"
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/empty.db"
        migrate(package, url)
        autogenerate(package, url, name)


if __name__ == "__main__":
    main()
