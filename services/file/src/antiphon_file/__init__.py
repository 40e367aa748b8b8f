"""File owns what people send: audio files from the first byte to their analysis, and images in all their
sizes.

It decides what a file really is, what it says of itself and whether there is room for it; what the music
means (artist, album, track) is the catalogue's.
"""
