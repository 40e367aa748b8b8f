"""What stream knows about ranges, tickets, listens and who may hear what. Pure: values in, values out."""

from antiphon_stream.domain.listens import Credit, Heard, Ledger
from antiphon_stream.domain.ranges import Answer, Asked, decide
from antiphon_stream.domain.tickets import MIN_KEY_BYTES, KeyRing, Ticket, expiry, sign, verify
from antiphon_stream.domain.tracks import VARIANTS, Status, Track, Variant, Visibility, may_hear, opens

__all__ = [
    "MIN_KEY_BYTES",
    "VARIANTS",
    "Answer",
    "Asked",
    "Credit",
    "Heard",
    "KeyRing",
    "Ledger",
    "Status",
    "Ticket",
    "Track",
    "Variant",
    "Visibility",
    "decide",
    "expiry",
    "may_hear",
    "opens",
    "sign",
    "verify",
]
