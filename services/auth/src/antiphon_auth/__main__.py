"""`python -m antiphon_auth`."""

from antiphon_auth.app import create_app
from antiphon_auth.settings import Settings
from antiphon_common import cli

if __name__ == "__main__":
    cli.main(create_app, Settings, "antiphon_auth")
