"""Measurements of the server profile, on real servers of their own: `make bench PROFILE=server`."""
