"""Measurements: ratios in one run, medians of several rounds. `make bench` runs them all."""
