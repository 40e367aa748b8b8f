"""The demo library: invented artists, and music composed and synthesised on the spot from a seed.

Nothing is downloaded and no audio is kept in the repository: `make_library` writes about twenty tagged files
in five formats, the same ones for the same seed.
"""

from antiphon_cli.demo.library import DemoTrack, make_library

__all__ = ["DemoTrack", "make_library"]
