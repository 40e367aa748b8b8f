"""User owns what a person shows and prefers: the profile and the preferences.

Accounts themselves (e-mail, roles, passwords) belong to auth; this service keeps the columns of them that it
shows, from auth's events.
"""
