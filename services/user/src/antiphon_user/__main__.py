"""`python -m antiphon_user`."""

from antiphon_common import cli
from antiphon_user.app import create_app
from antiphon_user.settings import Settings

if __name__ == "__main__":
    cli.main(create_app, Settings, "antiphon_user")
