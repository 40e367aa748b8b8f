"""`If-None-Match`, read alike by whoever gives or remembers an answer with an ETag."""

_LONGEST = 1024


def is_unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has exactly this already (RFC 9110, 13.1.2: weak comparison).

    A header of more than 1,024 characters matches nothing.
    """
    if not if_none_match or len(if_none_match) > _LONGEST:
        return False
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return known == ["*"] or etag.removeprefix("W/") in known
