"""Security events as log lines."""

from uuid import UUID

from structlog.typing import FilteringBoundLogger


class LoggedSecurity:
    """`SecurityLog` on the service's log."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def note(self, event: str, *, user_id: UUID, session_id: UUID | None = None) -> None:
        session = str(session_id) if session_id else None
        self._log.warning("security", what=event, user_id=str(user_id), session_id=session)
