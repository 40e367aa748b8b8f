"""`python -m antiphon_library`."""

from antiphon_common import cli
from antiphon_library.app import create_app
from antiphon_library.settings import Settings

if __name__ == "__main__":
    cli.main(create_app, Settings, "antiphon_library")
