"""`python -m antiphon_catalog`."""

from antiphon_catalog.app import create_app
from antiphon_catalog.settings import Settings
from antiphon_common import cli

if __name__ == "__main__":
    cli.main(create_app, Settings, "antiphon_catalog")
