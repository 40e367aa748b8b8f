"""`python -m antiphon_file`."""

from antiphon_common import cli
from antiphon_file.app import create_app
from antiphon_file.settings import Settings

if __name__ == "__main__":
    cli.main(create_app, Settings, "antiphon_file")
