"""The gateway of Antiphon: one origin for every client.

It owns no data. It decides what may come in (paths, headers, sizes, rates), who is calling, which service
answers, and which public answers are worth remembering; everything else flows through it untouched.
"""
