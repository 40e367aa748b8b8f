"""`python -m antiphon_search`."""

from antiphon_common import cli
from antiphon_search.app import create_app
from antiphon_search.settings import Settings

if __name__ == "__main__":
    cli.main(create_app, Settings, "antiphon_search")
