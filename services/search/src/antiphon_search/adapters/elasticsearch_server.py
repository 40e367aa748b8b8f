"""One Elasticsearch: its address, what it says when it cannot, and the numbered indices behind an alias.

`antiphon` is an alias of `antiphon-7`; `antiphon-next` is one of `antiphon-8` while that is built beside it.
Indices are made and aliases moved by requests that either happen whole or not at all, so that whoever is
killed between two of them leaves an index without an alias, which the next one removes.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from elastic_transport import ObjectApiResponse, TransportError
from elasticsearch import (
    ApiError,
    AsyncElasticsearch,
    NotFoundError,
    SerializationError,
    UnsupportedProductError,
)

from antiphon_common.errors import Unavailable
from antiphon_common.schemes import WrongUrl, authority, distrust, port_of
from antiphon_search.adapters.elasticsearch_mapping import FORMAT, MAPPINGS, SETTINGS, STAMP_ID, bulk_lines
from antiphon_search.ports import Change

T = TypeVar("T")
Action = dict[str, dict[str, object]]

MAJOR = 8
_READ_SECONDS = 2.0
_WRITE_SECONDS = 15.0
_MERGE_SECONDS = 600.0
_ALREADY_THERE = 409
_NO_ALIAS = 404
_WRONG_DOCUMENT = 400
_NO_ELASTICSEARCH = "What answers is no Elasticsearch; see SEARCH_INDEX_URL."


class _Distrusted(Unavailable):
    """The server has no certificate that we trust, which waiting does not mend."""


class Vanished(Unavailable):
    """An alias that was there a moment ago is not."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of our indices."""

    name: str
    number: int
    aliases: frozenset[str]
    format: object


class Server:
    """The client of one server. Raises `WrongUrl` for an address that can never work.

    An answer is waited for for two seconds, or for `patience` when that is more; writing takes longer.
    Every method raises `Unavailable` with the reason when there is no answer.
    """

    def __init__(self, url: str, patience: float) -> None:
        parts = urlsplit(url)
        self._url = url
        self._is_secure = parts.scheme.endswith("+https")
        self._place = f"{parts.hostname}:{port_of(url, url, default=9200)}"
        self._user = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._authority = authority(url, tls=self._is_secure)
        if not parts.hostname:
            raise WrongUrl(url, "it should be elasticsearch://user:password@host:port/alias")
        self.alias = unquote(parts.path.strip("/")) or "antiphon"
        self.next = f"{self.alias}-next"
        self._patience = max(patience, _READ_SECONDS)
        # The library logs each failure that is told here in one line.
        logging.getLogger("elastic_transport").setLevel(logging.ERROR)
        self._client: AsyncElasticsearch | None = None
        self._right_version = False

    async def start(self) -> None:
        """Raises `WrongUrl` when the server has no certificate that we trust; it need not be there yet."""
        # A context of our own, because the library's takes any certificate for a host that is an address.
        tls: dict[str, Any] = {}
        if self._is_secure:
            tls["ssl_context"] = ssl.create_default_context(cafile=self._authority)
        self._client = AsyncElasticsearch(
            f"http{'s' if self._is_secure else ''}://{self._place}", basic_auth=self._user, max_retries=0,
            request_timeout=self._patience, connections_per_node=20, **tls,
        )  # fmt: skip
        if self._is_secure:
            await self._demand_trust()

    async def _demand_trust(self) -> None:
        try:
            await self._demand_version()
        except _Distrusted as error:
            await self.stop()
            raise WrongUrl(self._url, distrust(error, self._place) or error.detail) from error
        except (Unavailable, NotFoundError):
            pass  # whoever needs the index now is told so

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.close()
        self._client = None

    async def call(
        self, request: Callable[[AsyncElasticsearch], Awaitable[ObjectApiResponse[Any]]]
    ) -> Mapping[str, Any]:
        """The answer's body. `NotFoundError` passes; everything else that goes wrong is `Unavailable`."""
        if self._client is None:
            raise Unavailable("index_unavailable", "The search index is not open.")
        try:
            body = (await request(self._client)).body
        except NotFoundError:
            raise
        except (ApiError, SerializationError) as error:
            raise Unavailable("index_unavailable", _complaint(error), retry_after=1) from error
        except TransportError as error:
            self._right_version = False
            if reason := distrust(error, self._place):
                raise _Distrusted("index_unavailable", f"{reason}; see SEARCH_INDEX_URL.") from error
            detail = f"Elasticsearch does not answer ({type(error).__name__}); see SEARCH_INDEX_URL."
            raise Unavailable("index_unavailable", detail, retry_after=1) from error
        if not isinstance(body, dict):
            raise Unavailable("index_unavailable", _NO_ELASTICSEARCH)
        return body

    async def parts(self) -> Sequence[Part]:
        """Our indices. Raises `Unavailable` too where the server is of another major version."""
        await self._demand_version()
        wanted = "*.aliases,*.mappings._meta"
        found = await self.call(
            lambda client: client.indices.get(
                index=f"{self.alias}-*", features=["aliases", "mappings"], filter_path=wanted
            )
        )
        numbered = re.compile(re.escape(self.alias) + r"-(\d+)")
        return [
            Part(
                name=name,
                number=int(match[1]),
                aliases=frozenset(what.get("aliases", ())),
                format=what.get("mappings", {}).get("_meta", {}).get("format"),
            )
            for name, what in found.items()
            if (match := numbered.fullmatch(name))
        ]

    async def current(self) -> Part | None:
        """The index behind the alias, if there is one. Raises `Unavailable` when it is not of our format."""
        part = next((part for part in await self.parts() if self.alias in part.aliases), None)
        if part is not None and part.format != FORMAT:
            detail = (
                f"The index {part.name} has format {part.format} and this version needs {FORMAT}: "
                "run `python -m antiphon_search reindex`."
            )
            raise Unavailable("index_incompatible", detail)
        return part

    async def create(self, *aliases: str) -> Part:
        """A new index with the next number."""
        number = max((part.number for part in await self.parts()), default=0) + 1
        name = f"{self.alias}-{number}"
        named: dict[str, dict[str, object]] = {alias: {} for alias in aliases}
        await self.call(
            lambda client: client.options(request_timeout=_WRITE_SECONDS).indices.create(
                index=name, mappings=MAPPINGS, settings=SETTINGS, aliases=named
            )
        )
        return Part(name, number, frozenset(aliases), FORMAT)

    async def move(self, actions: Sequence[Action]) -> None:
        """Change aliases and remove indices, all of it at once. Raises `NotFoundError` for a missing one."""
        await self.call(
            lambda client: client.options(request_timeout=_WRITE_SECONDS).indices.update_aliases(
                actions=actions
            )
        )

    async def refresh(self, index: str) -> None:
        """All that was written to an index can be found when this returns."""
        await self.call(
            lambda client: client.options(request_timeout=_WRITE_SECONDS).indices.refresh(index=index)
        )

    async def merge(self, index: str) -> None:
        """Make one segment of an index: a misspelt word is looked up in each, and filling leaves dozens."""
        await self.call(
            lambda client: client.options(request_timeout=_MERGE_SECONDS).indices.forcemerge(
                index=index, max_num_segments=1, ignore_unavailable=True
            )
        )

    async def put_stamp(self, index: str, stamp: int) -> None:
        """Stamp an index by its name; a higher stamp stays."""
        line = b'{"index":{"_index":"%s","_id":"%s","version":%d,"version_type":"external"}}'
        await self._bulk([line % (index.encode(), STAMP_ID.encode(), stamp), b"{}"], refresh=False)

    async def put(
        self, changes: Sequence[Change], targets: Iterable[str], *, stamp: int, refresh: bool
    ) -> Mapping[str, str]:
        """Write changes and the stamp to all these aliases; ids the server refuses, with the reason."""
        # Making the terms takes a tenth of a millisecond a document: not while requests wait.
        lines = await asyncio.to_thread(bulk_lines, changes, tuple(targets), stamp=stamp)
        return await self._bulk(lines, refresh=refresh)

    async def _bulk(self, lines: Sequence[bytes], *, refresh: bool) -> Mapping[str, str]:
        answer = await self.call(
            lambda client: client.options(request_timeout=_WRITE_SECONDS).bulk(
                operations=lines,  # type: ignore[arg-type]  # lines are sent as they are
                refresh=refresh,
                filter_path="errors,items.*._id,items.*.status,items.*.error.type,items.*.error.reason",
            )
        )
        if not answer["errors"]:
            return {}
        return _refused(item["index"] for item in answer["items"])

    async def _demand_version(self) -> None:
        if self._right_version:
            return
        answer = await self.call(
            lambda client: client.nodes.info(node_id="_local", metric="os", filter_path="nodes.*.version")
        )
        version = next((str(node["version"]) for node in answer.get("nodes", {}).values()), "unknown")
        if version.partition(".")[0] != str(MAJOR):
            detail = f"Elasticsearch {version} answers where {MAJOR}.x is needed; see SEARCH_INDEX_URL."
            raise Unavailable("index_incompatible", detail)
        self._right_version = True


def _refused(items: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Ids of documents that are wrong. Raises `Unavailable` when one was not written for another reason."""
    refused: dict[str, str] = {}
    for item in items:
        status, error = item["status"], item.get("error", {})
        if status == _WRONG_DOCUMENT:
            # Cut before the server quotes what somebody wrote: this is logged.
            reason = str(error.get("reason")).partition(" in document ")[0]
            refused[item["_id"]] = f"{error.get('type')}: {reason}"[:300]
        elif status == _NO_ALIAS:
            raise Vanished("index_missing", "The search index is missing.", retry_after=1)
        elif "error" in item and status != _ALREADY_THERE:
            # Full, read-only, overloaded, or the index is gone: it will be possible again.
            raise Unavailable(
                "index_unavailable", f"Elasticsearch does not write: {error.get('type')}.", retry_after=1
            )
    return refused


def _complaint(error: ApiError | SerializationError) -> str:
    if isinstance(error, SerializationError | UnsupportedProductError):
        return _NO_ELASTICSEARCH
    if error.status_code in (401, 403):
        return "Elasticsearch refuses the user of SEARCH_INDEX_URL or what it may do."
    return f"Elasticsearch says {error.status_code}: {error.error}."
