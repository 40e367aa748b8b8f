"""`python -m antiphon_playlist`."""

from antiphon_common import cli
from antiphon_playlist.app import create_app
from antiphon_playlist.settings import Settings

if __name__ == "__main__":
    cli.main(create_app, Settings, "antiphon_playlist")
