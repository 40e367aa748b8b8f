"""Catalog owns artists, albums and tracks: what the music is called, who made it, and who may see it.

The bytes and their measurements belong to file, likes and plays to library; this service keeps the copies of
them that it shows, from their events.
"""
