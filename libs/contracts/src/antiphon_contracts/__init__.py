"""The domain events of Antiphon, one module per publisher.

Events carry state: each one holds all that a projection may need of its aggregate at that revision, so a
consumer that sees only the newest event is as right as one that saw them all (docs/adr/0003). There is no
code here but data.
"""
