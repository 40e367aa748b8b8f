"""Library owns what a listener keeps and has heard: likes, saves and plays, and the counters they make.

Tracks and albums belong to catalog, playlists to playlist, and what was really streamed to stream; this
service keeps the columns of them that it shows or decides on, from their events.
"""
