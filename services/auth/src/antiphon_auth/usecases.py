"""What changes accounts and sessions.

Most functions receive an open unit and the caller commits. `register`, `log_in`, `refresh` and
`make_first_admin` receive the dependencies instead and open units themselves, because a password is hashed
between two transactions and never inside one, and because a refusal must not undo what it has written.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from antiphon_auth.domain import bootstrap, guessing, sessions
from antiphon_auth.domain.accounts import Account, Role, folded_email
from antiphon_auth.domain.bootstrap import Bootstrap
from antiphon_auth.domain.passwords import refuse_weak
from antiphon_auth.domain.sessions import Session, Use
from antiphon_auth.ports import Deps, Issuer, Unit
from antiphon_common.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from antiphon_common.ids import new_id
from antiphon_common.principal import Principal
from antiphon_contracts.auth import AccountChanged

ACCESS_SECONDS = 300
ADMIN_ROLES: tuple[Role, ...] = ("listener", "artist", "admin")


@dataclass(frozen=True, slots=True)
class Registration:
    """Who wants an account; `email` is folded already."""

    email: str
    password: str
    name: str


@dataclass(frozen=True, slots=True)
class Visit:
    """From where somebody calls, and what their browser still has of earlier visits."""

    device: str
    ip: str
    device_cookie: str = ""
    refresh_cookie: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody claims to be. `cookie`: the refresh token is to travel in a cookie."""

    email: str
    password: str
    cookie: bool


@dataclass(frozen=True, slots=True)
class Issued:
    """A session's fresh tokens."""

    account: Account
    session: Session
    refresh_token: str


async def register(deps: Deps, registration: Registration) -> Account:
    """Make an account. Raises `Invalid` for a weak password and `Conflict` for a taken address."""
    hashed = await _checked_hash(deps, registration)
    async with deps.open_unit() as unit:
        account = _new_account(registration, hashed, deps.rules.new_roles, deps.clock.now())
        return await _add(unit, account)


async def log_in(deps: Deps, credentials: Credentials, visit: Visit) -> Issued:
    """Begin a session. Raises `Unauthenticated` whatever is wrong, and `TooMany` before looking."""
    email = folded_email(credentials.email)
    async with deps.open_unit() as unit:
        account = await unit.accounts.find_by_email(email)
        door = await _door(unit, deps, account, email, visit)
        await _reserve(unit, door, deps.clock.now())
    try:
        hashed = account.password_hash if account else None
        right = await deps.passwords.verify(hashed, credentials.password)
        if account is None or not right or account.status != "active":
            raise Unauthenticated("bad_credentials", "The address or the password is wrong.")
        rehashed = None
        if deps.passwords.outdated(account.password_hash):
            rehashed = await deps.passwords.hash(credentials.password)
    except Unavailable:
        async with deps.open_unit() as unit:
            await unit.guesses.save(guessing.given_back(await unit.guesses.find(door, deps.clock.now())))
        raise
    async with deps.open_unit() as unit:
        current = await _still_right(unit, account, rehashed)
        await unit.guesses.forget(door)
        return await _begin_session(unit, deps, current, visit, cookie=credentials.cookie)


async def refresh(deps: Deps, token: str, visit: Visit) -> Issued:
    """The next tokens of a session. Raises `Unauthenticated`; a stolen token also ends its session."""
    now = deps.clock.now()
    async with deps.open_unit() as unit:
        issued = await _refreshed(unit, deps, token, visit, now)
    if issued is None:
        raise Unauthenticated("invalid_refresh_token", "The session has ended; log in again.")
    return issued


async def log_out(unit: Unit, principal: Principal, now: datetime) -> None:
    """End the caller's own session."""
    await _end(unit, principal.user_id, principal.session, now)


async def log_out_everywhere(unit: Unit, principal: Principal, now: datetime) -> None:
    """End every session of the caller, and every access token there is."""
    account = await unit.accounts.find(principal.user_id)
    if account is None:
        return
    await unit.accounts.save(replace(account, tokens_after=int(now.timestamp())))
    await unit.sessions.revoke_all(account.id, now)
    await unit.revocations.add(user_id=account.id, session_id=None, at=now)


async def end_session(unit: Unit, principal: Principal, session_id: UUID, *, now: datetime) -> None:
    """End one of the caller's sessions. Raises `NotFound` for any other."""
    session = await unit.sessions.find(session_id)
    if session is None or session.user_id != principal.user_id or sessions.is_over(session, now):
        raise NotFound("session_not_found", "There is no such session.")
    await _end(unit, session.user_id, session.id, now)


async def offer_bootstrap(unit: Unit, secret: str, *, now: datetime) -> bool:
    """Offer the secret to whoever makes the first administrator; false when there is one already."""
    # Whoever is making the first administrator right now holds the offer.
    await unit.bootstraps.find()
    if await unit.accounts.any_admin():
        return False
    expires = now + bootstrap.LIFETIME
    await unit.bootstraps.save(Bootstrap(secret_hash=digest(secret), expires_at=expires))
    return True


async def make_first_admin(deps: Deps, secret: str, registration: Registration) -> Account:
    """Make the first administrator. Raises `Gone` once it is too late and `Forbidden` for a wrong secret."""
    async with deps.open_unit() as unit:
        await _standing_offer(unit, secret, deps.clock.now())
    hashed = await _checked_hash(deps, registration)
    async with deps.open_unit() as unit:
        now = deps.clock.now()
        # Again, because two may have come this far with the right secret.
        offer = await _standing_offer(unit, secret, now)
        await unit.bootstraps.save(replace(offer, used_at=now))
        # The operator who reads our files vouches for their own address.
        account = replace(_new_account(registration, hashed, ADMIN_ROLES, now), email_verified=True)
        await _add(unit, account)
    deps.bootstrap_file.remove()
    deps.security_log.note("first_admin_made", user_id=account.id)
    return account


async def _standing_offer(unit: Unit, secret: str, now: datetime) -> Bootstrap:
    offer = await unit.bootstraps.find()
    if not bootstrap.opens(offer, digest(secret), now) or offer is None:
        raise Forbidden("bad_bootstrap_secret", "This is not the bootstrap secret.")
    return offer


def digest(secret: str) -> str:
    """What is stored of a secret with 256 bits: SHA-256, which needs no salt there."""
    return hashlib.sha256(secret.encode()).hexdigest()


def announcement(account: Account) -> AccountChanged:
    """What the other services learn of an account."""
    return AccountChanged(
        subject=account.id, revision=account.revision, email=account.email, name=account.name,
        roles=account.roles, email_verified=account.email_verified, status=account.status,
        created_at=account.created_at,
    )  # fmt: skip


async def _checked_hash(deps: Deps, registration: Registration) -> str:
    hints = (registration.email.partition("@")[0], registration.name)
    strength = await deps.passwords.strength(registration.password, hints)
    refuse_weak(registration.password, strength=strength, common=deps.passwords.common)
    return await deps.passwords.hash(registration.password)


def _new_account(registration: Registration, hashed: str, roles: Sequence[Role], now: datetime) -> Account:
    return Account(
        id=new_id(), email=registration.email, name=registration.name, password_hash=hashed,
        roles=tuple(roles), email_verified=False, created_at=now,
    )  # fmt: skip


async def _add(unit: Unit, account: Account) -> Account:
    await unit.accounts.add(account)
    await unit.announce(announcement(account))
    return account


async def _door(unit: Unit, deps: Deps, account: Account | None, email: str, visit: Visit) -> str:
    """The counter this login is held against: the account's, or a known device's own."""
    if account and visit.device_cookie:
        device = deps.issuer.known_device(visit.device_cookie, account.id, deps.clock.now())
        if device:
            return digest(f"device {device}")
    if account and visit.refresh_cookie:
        found = await unit.sessions.find_by_token(digest(visit.refresh_cookie))
        if found and found[0].user_id == account.id:
            return digest(f"session {found[0].id}")
    return digest(f"account {email}")


async def _reserve(unit: Unit, door: str, now: datetime) -> None:
    await unit.guesses.save(guessing.reserved(await unit.guesses.find(door, now), now))


async def _still_right(unit: Unit, checked: Account, rehashed: str | None) -> Account:
    """The account as it is now, unless it changed while its password was checked."""
    account = await unit.accounts.find(checked.id)
    if account is None or account.status != "active" or account.password_hash != checked.password_hash:
        raise Unauthenticated("bad_credentials", "The address or the password is wrong.")
    if rehashed:
        account = replace(account, password_hash=rehashed)
        await unit.accounts.save(account)
    return account


async def _begin_session(unit: Unit, deps: Deps, account: Account, visit: Visit, *, cookie: bool) -> Issued:
    now = deps.clock.now()
    session = Session(
        id=new_id(), user_id=account.id, device=visit.device, ip=visit.ip, cookie=cookie, created_at=now,
        last_used_at=now, rotated_at=now,
    )  # fmt: skip
    token = deps.issuer.first_refresh()
    await unit.sessions.start(session, digest(token))
    return Issued(account=account, session=session, refresh_token=token)


async def _refreshed(unit: Unit, deps: Deps, token: str, visit: Visit, now: datetime) -> Issued | None:
    found = await unit.sessions.find_by_token(digest(token))
    if found is None:
        return None
    session, generation = found
    use = sessions.use_of(session, generation, now)
    if use is Use.REUSED:
        await _end(unit, session.user_id, session.id, now)
        deps.security_log.note("refresh_token_reused", user_id=session.user_id, session_id=session.id)
        return None
    # Not locked: whoever ends all sessions holds the account and waits for this one.
    account = await unit.accounts.look_at(session.user_id)
    if use is Use.OVER or account is None or account.status != "active":
        return None
    return await _next(unit, deps.issuer, Issued(account, session, token), visit, use=use, now=now)


async def _next(
    unit: Unit, issuer: Issuer, before: Issued, visit: Visit, *, use: Use, now: datetime
) -> Issued | None:
    successor = issuer.successor(before.refresh_token)
    if use is Use.AGAIN:
        # Not the head: our secret was replaced between the two calls.
        known = await unit.sessions.find_by_token(digest(successor))
        return replace(before, refresh_token=successor) if known else None
    session = sessions.advanced(before.session, now, device=visit.device, ip=visit.ip)
    if not await unit.sessions.advance(session, digest(successor)):
        return None
    return Issued(before.account, session, successor)


async def _end(unit: Unit, user_id: UUID, session_id: UUID, now: datetime) -> None:
    await unit.sessions.revoke(session_id, now)
    await unit.revocations.add(user_id=user_id, session_id=session_id, at=now)
