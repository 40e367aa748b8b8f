"""Published by stream: audio that really left the house."""

from typing import ClassVar
from uuid import UUID

from antiphon_contracts.event import Event, Timestamp


class AudioServed(Event):
    """Enough of a track was served to a user to count as one play (30 s, or 90 % of a shorter track).

    `subject` is the id of this credit; one credit backs at most one play. `revision` is always 1.
    """

    type: ClassVar[str] = "stream.audio_served"

    user_id: UUID
    track_id: UUID
    served_ms: int
    started_at: Timestamp
    served_at: Timestamp
