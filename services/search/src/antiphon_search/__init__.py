"""Search owns what can be found: a document for each track, artist, album and playlist, and their index.

The documents are made from other services' events and are the truth here; the index is a copy that can be
made anew from them at any time.
"""
