"""What a caller expects before a change: the revision they have read."""

from dataclasses import dataclass

from antiphon_common.errors import Stale


@dataclass(frozen=True, slots=True)
class Expected:
    """The revisions of `If-Match`; none means that any is good."""

    revisions: frozenset[int] | None = None

    def check(self, revision: int) -> None:
        """Raise `Stale` unless this revision is expected."""
        if self.revisions is not None and revision not in self.revisions:
            raise Stale("stale_revision", "It was changed since you read it.")
