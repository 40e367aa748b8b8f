"""Elasticsearch behind TLS: who is trusted, and what is said, in one line, of a certificate that is not."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from antiphon_common.errors import Unavailable
from antiphon_common.lifecycle import run_together
from antiphon_common.schemes import WrongUrl
from antiphon_common.testing.running import eventually
from antiphon_common.testing.tls import Authority, TlsProxy, tls_before
from antiphon_search.adapters.elasticsearch_index import ElasticsearchIndex

pytestmark = pytest.mark.once("server")

NOWHERE = 1


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def proxy(elasticsearch_url: str, authority: Authority) -> AsyncIterator[TlsProxy]:
    at = urlsplit(elasticsearch_url)
    async with tls_before(at.hostname or "", at.port or 0, authority.context()) as proxy:
        yield proxy


@pytest.fixture
def url(elasticsearch_url: str, proxy: TlsProxy) -> str:
    """Of the alias through the proxy, without `ca=`."""
    at = urlsplit(elasticsearch_url)
    return f"elasticsearch+https://{at.netloc.replace(str(at.port), str(proxy.port))}{at.path}"


async def test_an_index_behind_tls_is_used_when_its_authority_is_named(
    url: str, authority: Authority
) -> None:
    index = ElasticsearchIndex(f"{url}?ca={authority.file}", 5)
    async with run_together(index):
        await index.wipe(stamp=1)
        assert await index.stamp() == 1


@pytest.mark.parametrize(
    ("trouble", "says", "mends"),
    [
        ("authority", "is not trusted", "ca="),
        ("nobody", "is not trusted", "ca="),
        ("host", "is for another host", "the host that it is for"),
        ("expired", "is not valid now", "renew it"),
    ],
)
async def test_a_certificate_that_is_not_good_is_said_in_one_line_at_the_start(
    url: str, proxy: TlsProxy, authority: Authority, tmp_path: Path, trouble: str, says: str, mends: str
) -> None:
    named = authority.file
    if trouble == "authority":
        named = Authority(tmp_path, name="another").file
    elif trouble == "host":
        proxy.context = authority.context("elsewhere.example")
    elif trouble == "expired":
        proxy.context = authority.context(days=-1)
    wrong = url if trouble == "nobody" else f"{url}?ca={named}"
    index = ElasticsearchIndex(wrong, 5)
    with pytest.raises(WrongUrl) as caught:
        async with run_together(index):
            pass
    said = str(caught.value)
    assert caught.value.url == wrong
    assert f"the certificate of 127.0.0.1:{proxy.port} {says} (" in said
    assert mends in said
    assert "\n" not in said
    assert (urlsplit(url).password or "no password") not in said


async def test_an_elasticsearch_without_tls_is_named_to_whoever_demands_it(url: str, proxy: TlsProxy) -> None:
    proxy.context = None
    index = ElasticsearchIndex(url, 5)
    with pytest.raises(WrongUrl, match=f"127.0.0.1:{proxy.port} offers no TLS"):
        async with run_together(index):
            pass


async def test_a_certificate_that_turns_bad_while_running_is_an_outage(
    url: str, proxy: TlsProxy, authority: Authority, tmp_path: Path
) -> None:
    """And one that is renewed ends it."""
    index = ElasticsearchIndex(f"{url}?ca={authority.file}", 5)
    good = proxy.context

    async def said() -> str:
        try:
            await index.stamp()
        except Unavailable as error:
            return error.detail
        return "works"

    async with run_together(index):
        assert await said() == "works"
        proxy.context = Authority(tmp_path, name="another").context()
        await proxy.cut()
        await eventually(said, lambda found: "is not trusted" in found)
        assert (await said()).endswith("see SEARCH_INDEX_URL.")
        proxy.context = good
        await eventually(said, lambda found: found == "works")


async def test_an_elasticsearch_that_is_not_there_yet_is_waited_for(authority: Authority) -> None:
    index = ElasticsearchIndex(f"elasticsearch+https://127.0.0.1:{NOWHERE}/x?ca={authority.file}", 5)
    async with run_together(index):
        with pytest.raises(Unavailable, match="does not answer"):
            await index.stamp()
