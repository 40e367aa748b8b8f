"""Stream owns the way of audio to its listeners: byte ranges, signed addresses, and what was really served.

Which tracks there are and who may hear them it knows from catalog's events.
"""
