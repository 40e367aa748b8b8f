"""`python -m antiphon_stream`."""

from antiphon_common import cli
from antiphon_stream.app import create_app
from antiphon_stream.settings import Settings

if __name__ == "__main__":
    cli.main(create_app, Settings, "antiphon_stream")
