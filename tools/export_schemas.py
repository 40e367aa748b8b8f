"""Write what is generated from the events: `libs/contracts/schemas/*.json` and `docs/events.md`.

With `--release` the schemas also become the released ones, which later versions may only add to.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
from event_schemas import Schema, breaks, events, schemas
from pydantic import BaseModel

from antiphon_contracts.event import Value

ROOT = Path(__file__).parent.parent
SCHEMAS = ROOT / "libs/contracts/schemas"
RELEASED = ROOT / "libs/contracts/released"
DOCUMENT = ROOT / "docs/events.md"
_HEAD = """# Events

Generated from `libs/contracts` by `make schemas`; do not edit. Every event carries the state of one
aggregate: `subject` is its id, `revision` counts its changes from 1, and a consumer ignores what is older
than what it holds.
"""


def load(folder: Path) -> dict[str, Schema]:
    """The schemas in a folder, by event type."""
    return {path.stem: orjson.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def files() -> dict[Path, bytes]:
    """Everything that is generated, by the path it belongs to."""
    pretty = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    written = {
        SCHEMAS / f"{name}.json": orjson.dumps(s, option=pretty) + b"\n" for name, s in schemas().items()
    }
    return {**written, DOCUMENT: document().encode()}


def document() -> str:
    """All events as one page of Markdown, in the order of their publishers."""
    parts, publisher = [_HEAD], ""
    for event in events():
        if event.type.partition(".")[0] != publisher:
            publisher = event.type.partition(".")[0]
            parts.append(f"\n## {publisher}\n")
        parts += _section(f"`{event.type}`", event)
    parts.append("\n## Values inside events\n")
    for value in sorted(Value.__subclasses__(), key=lambda value: value.__name__):
        parts += _section(f"`{value.__name__}`", value)
    return "".join(parts)


def _section(heading: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"\n### {heading}\n\n{' '.join((model.__doc__ or '').split())}\n"
    own = [name for name in model.model_fields if name not in {"subject", "revision"}]
    if own:
        rows = [f"| `{name}` | {_type(model.model_fields[name].annotation)} |\n" for name in own]
        yield "\n| field | type |\n|---|---|\n" + "".join(rows)


def _type(annotation: object) -> str:
    text = str(annotation) if not isinstance(annotation, type) else annotation.__name__
    for module in ("antiphon_contracts.file.", "antiphon_contracts.catalog.", "typing.", "uuid."):
        text = text.replace(module, "")
    return f"`{text}`".replace("|", "\\|")


def main() -> int:
    """Write the files, remove those of events that are gone, and say what a release would break."""
    wanted = files()
    for path in set(SCHEMAS.glob("*.json")) - wanted.keys():
        path.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if "--release" in sys.argv[1:]:
        shutil.rmtree(RELEASED, ignore_errors=True)
        shutil.copytree(SCHEMAS, RELEASED)
    broken = breaks(load(RELEASED), load(SCHEMAS))
    for what in broken:
        print(what)
    print(f"events: {len(wanted) - 1} schemas, {len(broken)} breaking changes")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
