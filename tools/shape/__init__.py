"""The rules of the house that no linter on the market knows; `tools/check_shape.py` runs them.

Each rule is a generator of violations over a tree, so that a test can feed it a spoilt copy.
"""
