"""Which passwords are good enough: length and unguessability, no rules about kinds of characters."""

from antiphon_common.errors import FieldError, Invalid

MIN_LENGTH = 8
MAX_LENGTH = 1024
MIN_STRENGTH = 3
PRODUCT_WORDS = ("antiphon", "music", "playlist", "listener", "artist", "admin", "administrator", "streaming")

# What people put around a word to make it look like a password. More of it may be a secret by itself.
_MAX_TRIMMED = 8
_TRIMMINGS = "0123456789!@#$%^&*()_-+=.,?;:'\"/\\|~` []{}<>"

# Walks along the keys and the alphabet, forwards and backwards, as often as a long password needs them.
_RUNS = tuple(
    run * (MAX_LENGTH // len(run) + 2)
    for row in ("1234567890", "0123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop",
                "qwertyuiopasdfghjklzxcvbnm", "abcdefghijklmnopqrstuvwxyz", "йцукенгшщзхъ")
    for run in (row, row[::-1])
)  # fmt: skip


def core_of(password: str) -> str:
    """The word that is left without case and without digits and signs at both ends."""
    return password.casefold().strip(_TRIMMINGS)


def refuse_weak(password: str, *, strength: int, common: frozenset[str]) -> None:
    """Raise `Invalid` unless the password is unguessable enough.

    `strength` is 0 (guessed at once) to 4, `common` the most used passwords in lower case.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise _refused("password_length", f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.")
    core = core_of(password)
    dressed_up = len(core) > 3 and len(password) - len(core) <= _MAX_TRIMMED
    walk = any(password.casefold() in run for run in _RUNS)
    if walk or password.casefold() in common or (dressed_up and (core in common or core in PRODUCT_WORDS)):
        raise _refused("password_common", "This password is, or is built around, one that many people use.")
    if strength < MIN_STRENGTH:
        raise _refused("password_weak", "This password is easy to guess; a few unrelated words are better.")


def _refused(code: str, message: str) -> Invalid:
    return Invalid(code, message, errors=[FieldError("body.password", code, message)])
