"""Servers of an operator's own behind TLS: `make up` trusts whom `ca=` names, and hands it on to the processes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from stack import accounts
from stack.house import StackError
from stack.servers import Servers

from antiphon_common.testing.tls import Authority, tls_before

CA = "ca=/etc/own.pem"


def test_every_process_is_told_the_authority_of_each_server() -> None:
    servers = Servers(
        f"postgresql://admin:secret@host:5432/postgres?ssl=verify-ca&{CA}", f"rediss://:secret@host:6379/0?{CA}",
        f"amqps://admin:secret@host:5671/?{CA}", f"https://admin:secret@host:15671/api?{CA}",
        f"https://admin:secret@host:9200?{CA}", f"s3://key:secret@?endpoint=https://host:9000&{CA}",
    )  # fmt: skip
    assert servers.postgres("user", "pw", "antiphon") == (
        f"postgresql+asyncpg://user:pw@host:5432/antiphon?ssl=verify-ca&{CA}"
    )
    assert servers.redis == f"rediss://:secret@host:6379/0?{CA}"
    assert servers.amqp("user", "pw", "antiphon") == f"amqps://user:pw@host:5671/antiphon?{CA}"
    assert servers.elasticsearch("antiphon") == f"elasticsearch+https://admin:secret@host:9200/antiphon?{CA}"
    assert servers.s3("bucket") == f"s3://key:secret@bucket?endpoint=https://host:9000&{CA}"


@pytest.mark.parametrize(
    ("fixture", "scheme", "ask", "variable"),
    [
        ("redis_url", "rediss", accounts.ask_redis, "REDIS_URL"),
        ("elasticsearch_url", "elasticsearch+https", accounts.ask_elasticsearch, "ELASTICSEARCH_URL"),
    ],
    ids=["redis", "elasticsearch"],
)
async def test_a_server_is_asked_over_tls_and_one_that_nobody_vouches_for_is_named(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fixture: str,
    scheme: str,
    ask: Callable[[str], None],
    variable: str,
) -> None:
    at = urlsplit(request.getfixturevalue(fixture))
    authority, other = Authority(tmp_path), Authority(tmp_path, name="another")
    async with tls_before(at.hostname or "", at.port or 0, authority.context()) as proxy:
        url = f"{scheme}://{at.netloc.replace(str(at.port), str(proxy.port))}{at.path}"
        await asyncio.to_thread(ask, f"{url}?ca={authority.file}")
        for wrong in (url, f"{url}?ca={other.file}"):
            with pytest.raises(StackError) as caught:
                await asyncio.to_thread(ask, wrong)
            said = str(caught.value)
            assert said.startswith(f"{variable}: the certificate of 127.0.0.1:{proxy.port} is not trusted (")
            assert said.endswith("ca=")
