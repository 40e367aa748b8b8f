"""What becomes of messages: handled many at a time, and one at a time only where one of them fails.

Both buses hand batches to a consumer's handler. A batch that fails has changed nothing, so its halves are
tried, and so on: what fails alone is retried or dead, and its neighbours never notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon_common.bus import Handler, NotNow
from antiphon_common.errors import ServiceError, Unavailable


@dataclass(frozen=True, slots=True)
class Verdict:
    """One message: done with, or to be tried later, or a dead letter with a code."""

    later: bool = False
    code: str = ""
    detail: str = ""

    @property
    def done(self) -> bool:
        return not self.later and not self.code


_DONE, _LATER = Verdict(), Verdict(later=True)


async def judge(handler: Handler, bodies: Sequence[bytes], verdicts: list[Verdict]) -> None:
    """Handle messages in order and append one verdict each.

    Raises only `NotNow`, or what cancels it; `verdicts` then holds those of the messages that were reached.
    """
    try:
        await handler(bodies)
    except NotNow:
        raise
    except Exception as error:  # noqa: BLE001 - anything a handler raises is a dead letter, never a dead loop
        if len(bodies) == 1:
            verdicts.append(_alone(error))
            return
    else:
        verdicts.extend([_DONE] * len(bodies))
        return
    half = len(bodies) // 2
    await judge(handler, bodies[:half], verdicts)
    await judge(handler, bodies[half:], verdicts)


def _alone(error: Exception) -> Verdict:
    if isinstance(error, Unavailable):
        return _LATER
    if isinstance(error, ServiceError):
        return Verdict(code=error.code, detail=error.detail)
    return Verdict(code="handler_failed", detail=type(error).__name__)
