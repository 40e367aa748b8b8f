"""What travels on the bus: an event with its identity, time and trace, as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self
from uuid import UUID

import orjson

from antiphon_common import telemetry
from antiphon_common.clock import Clock
from antiphon_common.ids import new_id


class Announceable(Protocol):
    """What an event looks like from here (the real ones are in `antiphon_contracts`)."""

    type: ClassVar[str]

    @property
    def subject(self) -> UUID: ...

    @property
    def revision(self) -> int: ...

    def model_dump(self, *, mode: str = ...) -> dict[str, Any]: ...

    @classmethod
    def model_validate(cls, obj: Any) -> Self: ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message. `id` is what the inbox remembers; `traceparent` joins the traces of both ends."""

    id: UUID
    type: str
    subject: UUID
    revision: int
    occurred_at: datetime
    traceparent: str | None
    data: Mapping[str, Any]

    @classmethod
    def of(cls, event: Announceable, clock: Clock) -> "Envelope":
        """A new message about an event, in the present trace."""
        trace = telemetry.current()
        return cls(
            id=new_id(),
            type=event.type,
            subject=event.subject,
            revision=event.revision,
            occurred_at=clock.now(),
            traceparent=trace.traceparent if trace else None,
            data=event.model_dump(mode="json"),
        )

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "id": str(self.id),
            "type": self.type,
            "subject": str(self.subject),
            "revision": self.revision,
            "occurred_at": self.occurred_at.isoformat(),
            "traceparent": self.traceparent,
            "data": dict(self.data),
        }

    def to_bytes(self) -> bytes:
        return orjson.dumps(self.as_json())

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Envelope":
        """Read what `as_json` wrote. Raises `ValueError` or `KeyError` for anything else."""
        return cls(
            id=UUID(value["id"]),
            type=str(value["type"]),
            subject=UUID(value["subject"]),
            revision=int(value["revision"]),
            occurred_at=datetime.fromisoformat(value["occurred_at"]),
            traceparent=value.get("traceparent"),
            data=value["data"],
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> "Envelope":
        return cls.from_json(orjson.loads(body))
