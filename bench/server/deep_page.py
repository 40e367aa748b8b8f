"""The same pages as in the embedded profile's `deep_page`, asked of Postgres: at most 1.5 times as long."""

import sys

from antiphon_common.testing.isolation import postgres_database
from bench._stack import servers
from bench.deep_page import measured

if __name__ == "__main__":
    with servers("postgres") as urls, postgres_database(urls["POSTGRES_URL"]) as database:
        sys.exit(measured(database))
