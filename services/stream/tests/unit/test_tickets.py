"""Tickets: nothing in them can be exchanged, and they end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from antiphon_common.errors import Forbidden
from antiphon_stream.domain import KeyRing, Ticket, expiry, sign, verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RING = KeyRing("k2", {"k1": b"1" * 32, "k2": b"2" * 32})
TICKET = Ticket(UUID(int=1), "original", UUID(int=2), UUID(int=3), NOW + timedelta(hours=2), 3)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _verified(text: str, *, ring: KeyRing = RING, now: datetime = NOW) -> Ticket:
    return verify(text, ring, track_id=TICKET.track_id, variant=TICKET.variant, now=now)


def test_a_signed_ticket_is_what_it_was() -> None:
    assert _verified(sign(TICKET, RING)) == TICKET


def test_no_other_character_at_any_place_is_accepted() -> None:
    text = sign(TICKET, RING)
    for place, character in enumerate(text):
        for other in ALPHABET + ".~= ":
            if other != character:
                with pytest.raises(Forbidden):
                    _verified(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize(
    "text", ["", ".", "..", "k2", "k2..", "k9.a.b", "k2.é.a", "k2." + "A" * 5000, "k2.AA.AA.AA"]
)
def test_what_is_no_ticket_is_refused(text: str) -> None:
    with pytest.raises(Forbidden):
        _verified(text)


def test_a_ticket_is_for_one_track_and_one_variant() -> None:
    text = sign(TICKET, RING)
    with pytest.raises(Forbidden):
        verify(text, RING, track_id=UUID(int=9), variant="original", now=NOW)
    with pytest.raises(Forbidden):
        verify(text, RING, track_id=TICKET.track_id, variant="high", now=NOW)


def test_another_user_or_expiry_has_another_signature() -> None:
    mac = sign(TICKET, RING).rpartition(".")[2]
    for changed in (
        replace(TICKET, user_id=UUID(int=8)),
        replace(TICKET, expires_at=TICKET.expires_at + timedelta(seconds=1)),
        replace(TICKET, listen=UUID(int=8)),
        replace(TICKET, state=4),
    ):
        forged = sign(changed, RING).rpartition(".")[0] + "." + mac
        with pytest.raises(Forbidden):
            _verified(forged)


def test_a_ticket_ends_at_its_expiry() -> None:
    text = sign(TICKET, RING)
    assert _verified(text, now=TICKET.expires_at - timedelta(seconds=1)) == TICKET
    with pytest.raises(Forbidden) as refused:
        _verified(text, now=TICKET.expires_at)
    assert refused.value.code == "ticket_expired"


def test_an_older_key_verifies_until_it_is_retired() -> None:
    text = sign(TICKET, KeyRing("k1", RING.keys))
    assert _verified(text) == TICKET
    with pytest.raises(Forbidden):
        _verified(text, ring=KeyRing("k2", {"k2": b"2" * 32}))


def test_a_key_under_another_id_does_not_verify() -> None:
    text = sign(TICKET, RING)
    with pytest.raises(Forbidden):
        _verified(text.replace("k2.", "k1.", 1), ring=KeyRing("k1", {"k1": b"2" * 32, "k2": b"2" * 32}))


def test_a_ticket_lives_two_hours_or_four_durations() -> None:
    assert expiry(NOW, 200_000) == NOW + timedelta(hours=2)
    assert expiry(NOW, 3_600_000) == NOW + timedelta(hours=4)
