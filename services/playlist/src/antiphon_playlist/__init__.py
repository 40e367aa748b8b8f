"""Playlist owns playlists and the order of what is in them.

Tracks belong to catalog and names to user; this service keeps the columns of them that a playlist shows, from
their events.
"""
