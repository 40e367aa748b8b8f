"""Auth owns who somebody is: accounts, passwords, sessions and the keys that sign access tokens.

Nobody else stores a password or signs a token; the other services verify tokens by the published keys and
learn of accounts from events.
"""
