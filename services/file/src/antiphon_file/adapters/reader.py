"""The `Reader` port, by children: their answers checked and turned into values of the domain.

Failure policy: a verdict of the child is final (`Refused`); a job that was too slow is refused as such; a
child that died raises `ReaderFailed`, and whoever asked decides how often to try again. What a child says is
not trusted either: an answer of another shape counts as its death.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from antiphon_file.adapters.pool import Bounds, ChildDied, ReaderPool, TookTooLong
from antiphon_file.domain import (
    IMAGE_REASONS,
    IMAGE_SIZES,
    REASONS,
    Analysis,
    Picture,
    ReaderFailed,
    Refused,
)

_AUDIO: Final = Bounds(cpu_seconds=120, wall_seconds=240)
_PICTURE: Final = Bounds(cpu_seconds=10, wall_seconds=30)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture answer without its bytes."""

    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    dominant_color: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
    sizes: list[int]


_ANALYSIS: Final = TypeAdapter(Analysis)
_RENDERED: Final = TypeAdapter(Rendered)


class ChildReader:
    """Reads audio and pictures in the children of a pool."""

    def __init__(self, pool: ReaderPool, *, max_seconds: int) -> None:
        self._pool = pool
        self._max_seconds = max_seconds

    async def analyse(self, path: Path) -> Analysis:
        job = {"job": "analyse", "path": str(path), "max_seconds": self._max_seconds}
        done, _ = await self._ask(job, _AUDIO, too_slow="analysis_timeout")
        try:
            return _ANALYSIS.validate_python(done)
        except ValidationError as error:
            raise ReaderFailed from error

    async def embedded_cover(self, path: Path) -> Picture:
        return await self._picture({"job": "cover", "path": str(path)})

    async def picture(self, path: Path) -> Picture:
        return await self._picture({"job": "picture", "path": str(path)})

    async def _picture(self, job: dict[str, Any]) -> Picture:
        done, blobs = await self._ask(job, _PICTURE, too_slow="image_broken")
        try:
            rendered = _RENDERED.validate_python(done)
        except ValidationError as error:
            raise ReaderFailed from error
        if not rendered.sizes or len(rendered.sizes) != len(blobs) or not {*rendered.sizes} <= {*IMAGE_SIZES}:
            raise ReaderFailed
        renditions = dict(zip(rendered.sizes, blobs, strict=True))
        return Picture(rendered.width, rendered.height, rendered.dominant_color, renditions)

    async def _ask(
        self, job: dict[str, Any], bounds: Bounds, *, too_slow: str
    ) -> tuple[dict[str, Any], list[bytes]]:
        try:
            answer, blobs = await self._pool.run(job, bounds)
        except TookTooLong as error:
            raise Refused(too_slow) from error
        except ChildDied as error:
            raise ReaderFailed from error
        reason = answer.get("refused")
        if reason in REASONS or reason in IMAGE_REASONS:
            raise Refused(str(reason))
        if not isinstance(answer.get("done"), dict):
            raise ReaderFailed
        return answer["done"], blobs
