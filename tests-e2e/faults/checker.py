"""What must hold once everything is healed: the history compared with what can be read, and stores with each other.

The numbers (I1 ...) are those of docs/operations.md, "What a checker finds after a crash".
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, Protocol
from uuid import UUID

from faults.history import History, Op
from faults.replay import EDITS, Item, check_edits

IN_PROGRESS = ("receiving", "analysing")
TRIED = (
    "upload", "like", "save", "play", "make-playlist", "add", "remove", "move", "name", "hear-all", "log-out",
)  # fmt: skip
TOO_LATE = 412
REFUSED = 401


class Stores(Protocol):
    """What lies behind the API, read only."""

    async def sql(self, service: str, query: str) -> Sequence[tuple[Any, ...]]:
        """The rows that a service's database answers."""

    async def documents(self) -> Sequence[tuple[str, str, int]]:
        """Every document that a search may find: id, kind and version. A second copy is a second row."""

    async def objects(self) -> Mapping[str, str]:
        """Every object in the store: key -> SHA-256 of what it holds."""

    async def waiting(self) -> Sequence[str]:
        """Queues that are not empty and dead letters, in words."""


# -- from the history ---------------------------------------------------------------------------------------


def explainable(ops: Iterable[Op], *, present: bool) -> bool:
    """Whether some order of these writes to one key ends with it present (or absent).

    Writes that overlap may have happened in any order, one without an answer at any later time or never;
    one that was refused never happened. At first the key is absent.
    """
    happened = [op for op in ops if op.outcome is not False]
    if not present and not any(op.outcome and op.value for op in happened):
        return True
    for last in happened:
        if bool(last.value) is not present:
            continue
        ended = last.ended if last.outcome and last.ended is not None else inf
        later = (op for op in happened if op.outcome and bool(op.value) is not present and op.began > ended)
        if not any(later):
            return True
    return False


def check_kept(history: History, kind: str, final: Mapping[str, Sequence[str]]) -> list[str]:
    """I5: nothing that somebody liked or saved was lost, none came back. `final` is what each person's list holds."""
    by_key: dict[tuple[str, ...], list[Op]] = defaultdict(list)
    for op in history.of(kind):
        by_key[op.key].append(op)
    found = [
        f"I5 {kind} of {person} and {which}: present={which in final[person]}"
        for (person, which), ops in by_key.items()
        if not explainable(ops, present=which in final[person])
    ]
    there = Counter((person, which) for person, list_ in final.items() for which in list_)
    found += [f"I5 {kind} of {key} is listed {count} times" for key, count in there.items() if count > 1]
    return found + [f"I2 {kind} of {key} that nobody tried" for key in there.keys() - by_key.keys()]


def check_plays(history: History, counted: Mapping[str, int]) -> list[str]:
    """I4: a play counts once. `counted` is the counter of each track."""
    sure: dict[str, set[str]] = defaultdict(set)
    tried: dict[str, set[str]] = defaultdict(set)
    for op in history.of("play"):
        if op.outcome is not False:
            tried[op.key[0]].add(op.value)
        if op.outcome and (op.answer or {}).get("counted"):
            sure[op.key[0]].add(op.value)
    return [
        f"I4 {track}: {len(sure[track])} plays are known to count, {len(tried[track])} were reported, the counter says {count}"
        for track in tried.keys() | counted.keys()
        for count in [counted.get(track, 0)]
        if not len(sure[track]) <= count <= len(tried[track])
    ]


def check_playlists(history: History, final: Mapping[str, tuple[int, Sequence[Item]]]) -> list[str]:
    """I7: each playlist holds what its edits make of it, in their order; of two edits of one revision only one won.
    I1, I2: each acknowledged playlist is there, and no other.

    `final` is each playlist's revision and its items as (item id, track id).
    """
    made = history.of("make-playlist")
    acknowledged = {op.answer for op in made if op.outcome}
    found = [f"I1 playlist {playlist} was made and is gone" for playlist in acknowledged - final.keys()]
    strange = final.keys() - acknowledged
    if len(strange) > sum(op.outcome is None for op in made):
        found.append(f"I2 more playlists than anybody made: {sorted(strange)}")
    edits: dict[str, list[Op]] = defaultdict(list)
    for op in history.ops:
        if op.kind in EDITS:
            edits[op.key[0]].append(op)
    for playlist, (revision, items) in final.items():
        found += check_edits(playlist, edits[playlist], revision, items)
    return found


def check_tried(history: History) -> list[str]:
    """Of what did not happen nothing is proved: each kind of write that the others look at was acknowledged at times,
    an edit came too late for its revision, and a stream went on after a range had failed."""
    done = Counter(op.kind for op in history.ops if op.outcome)
    found = [f"nobody succeeded to {kind}" for kind in TRIED if not done[kind]]
    if not any(op.status == TOO_LATE and op.kind in EDITS for op in history.ops):
        found.append("no two edits of one revision met")
    if not went_on(history):
        found.append("no stream saw a range fail and went on")
    return found


def went_on(history: History) -> list[Op]:
    """The tracks that came whole although ranges failed on the way."""
    return [op for op in history.of("hear-all") if op.outcome and op.answer]


def check_revoked(answers: Iterable[tuple[str, int | None]]) -> list[str]:
    """I10: what was logged out is refused, each time and for what it is. `answers` is what was shown, and the status."""
    return [f"I10 {what} that was logged out: {status}" for what, status in answers if status != REFUSED]


def check_uploads(history: History, uploads: Sequence[Mapping[str, Any]]) -> list[str]:
    """I1, I2, I17: each acknowledged upload ended well, each file is a track once, nothing is in progress."""
    by_id = {upload["id"]: upload for upload in uploads}
    found = []
    for op in history.of("upload"):
        state = by_id.get(op.answer, {}).get("state") if op.outcome else "ready"
        if state not in ("ready", "duplicate"):
            found.append(f"I1 upload {op.answer} of {op.value} was accepted and is {state}")
    ready = Counter(upload["sha256"] for upload in uploads if upload["state"] == "ready")
    tried = {op.key[0] for op in history.of("upload")}
    found += [f"I2 {digest} was never uploaded" for digest in ready.keys() - tried]
    found += [f"I1 {digest} is there {count} times" for digest, count in ready.items() if count != 1]
    found += [f"I17 {u['id']} is still {u['state']}" for u in uploads if u["state"] in IN_PROGRESS]
    return found


def check_names(history: History, final: Mapping[str, str]) -> list[str]:
    """I1: the name of each person is the last acknowledged one, or one tried after it."""
    found = []
    for person, name in final.items():
        ops = [op for op in history.of("name") if op.client == person and op.outcome is not False]
        last = max((number for number, op in enumerate(ops) if op.outcome), default=0)
        if ops and name not in {op.value for op in ops[last:]}:
            found.append(f"I1 {person} is called {name!r}, the last acknowledged is {ops[last].value!r}")
    return found


# -- from the stores ----------------------------------------------------------------------------------------

LISTED = {
    "track": ("catalog", "SELECT id, revision FROM track WHERE listed"),
    "album": ("catalog", "SELECT id, revision FROM album WHERE track_count > 0"),
    "artist": ("catalog", "SELECT id, revision FROM artist WHERE track_count > 0"),
    "playlist": ("playlist", "SELECT id, revision FROM playlist WHERE visibility = 'public'"),
}


async def check_index(stores: Stores) -> list[str]:
    """I3: what is listed is in the index once, in its newest state, and nothing else of these kinds is."""
    documents = await stores.documents()
    copies = Counter(document for document, _, _ in documents)
    rows = await stores.sql("search", "SELECT id, revision, version FROM document")
    known = {str(which): (revision, version) for which, revision, version in rows}
    found = [f"I3 {which} is in the index {count} times" for which, count in copies.items() if count > 1]
    for kind, (service, query) in LISTED.items():
        wanted = {str(which): revision for which, revision in await stores.sql(service, query)}
        there = {document: version for document, its_kind, version in documents if its_kind == kind}
        found += [f"I3 {kind} {missing} is not in the index" for missing in sorted(wanted.keys() - there)]
        found += [f"I3 {kind} {extra} is in the index only" for extra in sorted(there.keys() - wanted)]
        for which in sorted(wanted.keys() & there):
            revision, version = known.get(which, (None, None))
            if (revision, version) != (wanted[which], there[which]):
                found.append(
                    f"I3 {kind} {which} is at revision {wanted[which]} and search knows {revision}; its version is "
                    f"{version} and the index has {there[which]}"
                )
    return found


async def check_tracks(stores: Stores) -> list[str]:
    """I1, I2: each upload that is ready is one track of the catalogue, and no track is without its upload."""
    uploads = await stores.sql("file", "SELECT id, track_id FROM upload WHERE state = 'ready'")
    tracks = await stores.sql("catalog", "SELECT upload_id, id FROM track")
    ready = Counter((str(upload), str(track)) for upload, track in uploads)
    there = Counter((str(upload), str(track)) for upload, track in tracks)
    return [
        *(f"I1 upload {upload} is ready and track {track} is gone" for upload, track in ready - there),
        *(f"I2 track {track} has no ready upload {upload}" for upload, track in there - ready),
    ]


async def check_places(stores: Stores, final: Mapping[str, tuple[int, Sequence[Item]]]) -> list[str]:
    """I7: no two items of a playlist have one place, and by their places they stand as they are read."""
    places: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for playlist, item, position in await stores.sql(
        "playlist", "SELECT playlist_id, id, position FROM item"
    ):
        places[str(playlist)].append((position, str(item)))
    found = []
    for playlist in places.keys() | final.keys():
        stand = sorted(places[playlist])
        if len({position for position, _ in stand}) != len(stand):
            found.append(f"I7 two items of {playlist} have one place: {stand}")
        if [item for _, item in stand] != [item for item, _ in final.get(playlist, (0, ()))[1]]:
            found.append(f"I7 the items of {playlist} stand otherwise than they are read")
    return found


async def check_objects(stores: Stores) -> list[str]:
    """I9: no object without a row, no row without its object, and it holds what was sent."""
    wanted: dict[str, str | None] = {}
    for upload_id, sha256, state in await stores.sql("file", "SELECT id, sha256, state FROM upload"):
        if state in ("analysing", "ready"):
            wanted[_key("audio", upload_id)] = sha256
    # The array is text or a list, depending on the database's driver.
    for image_id, sizes in await stores.sql("file", "SELECT id, sizes FROM image"):
        several = json.loads(sizes) if isinstance(sizes, str) else sizes
        wanted |= {f"{_key('images', image_id)}/{size}": None for size in several}
    there = await stores.objects()
    return [
        *(f"I9 object without a row: {key}" for key in sorted(there.keys() - wanted.keys())),
        *(f"I9 row without an object: {key}" for key in sorted(wanted.keys() - there.keys())),
        *(
            f"I9 {key} holds something else"
            for key in sorted(there.keys() & wanted.keys())
            if wanted[key] not in (None, there[key])
        ),
    ]


def _key(kind: str, which: object) -> str:
    key = UUID(str(which))
    return f"{kind}/{key.hex[-2:]}/{key}"


async def check_outboxes(stores: Stores, services: Iterable[str]) -> list[str]:
    """I8: everything announced was published and handled."""
    found = list(await stores.waiting())
    for service in services:
        if not await stores.sql(
            service, "SELECT 1 FROM pg_tables WHERE schemaname = current_schema AND tablename = 'outbox'"
        ):
            continue  # it announces nothing
        count = (await stores.sql(service, "SELECT count(*) FROM outbox"))[0][0]
        if count:
            found.append(f"I8 {count} rows in the outbox of {service}")
    return found


async def check_counters(stores: Stores, queries: Mapping[str, Mapping[str, str]]) -> list[str]:
    """I6: each counter is the size of the set that it counts."""
    found = []
    for service, named in queries.items():
        for what, query in named.items():
            found += [f"I6 {service}: {what}: {row}" for row in await stores.sql(service, query)]
    return found
