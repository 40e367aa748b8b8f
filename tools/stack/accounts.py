"""What the services find on the servers: a role and a schema each, a user of the broker each, and a bucket.

Made again at every start, which changes nothing that is there but sets the passwords of this stack. What is
made is written down in deploy/postgres and deploy/rabbitmq, the same for every way to run the platform.
"""

import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from http import HTTPStatus
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import broker_accounts

from antiphon_common.schemes import distrust
from stack.environment import BUCKET, INDEX
from stack.house import ROOT, SERVICES, House, StackError
from stack.passwords import passwords
from stack.servers import Servers, options

_SQL = ROOT / "deploy" / "postgres" / "antiphon.sql"


def make(house: House, servers: Servers) -> None:
    """All three; and ask whether the others let us in. Raises `StackError` with the server's own words."""
    secrets = passwords(house)
    ask_redis(servers.redis_url)
    ask_elasticsearch(servers.elasticsearch(INDEX))
    _postgres(servers.postgres_url, secrets)
    _rabbitmq(servers.rabbitmq_api, secrets)
    _bucket(servers)


def _postgres(url: str, secrets: dict[str, str]) -> None:
    psql = shutil.which("psql")
    if not psql:
        raise StackError("psql is missing: `apt-get install postgresql-client`")
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    # Passwords travel by the environment: a command line can be read by everybody on the machine.
    told = {f"{service.upper()}_DATABASE_PASSWORD": secrets[service] for service in SERVICES}
    told |= {"PGUSER": unquote(parts.username or ""), "PGPASSWORD": unquote(parts.password or "")}
    told |= _as_psql_says(options(url))
    command = [psql, "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", str(_SQL)]
    done = subprocess.run(
        [*command, urlunsplit(("postgresql", place, parts.path, "", ""))],
        env={**os.environ, **told}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        hint = "; see ssl= and ca= in POSTGRES_URL" if "certificate" in last or "SSL" in last else ""
        raise StackError(f"Postgres refuses to make the accounts: {last}{hint}")


def _as_psql_says(said: dict[str, str]) -> dict[str, str]:
    """The options of a URL that are about TLS, as psql's variables."""
    ca = said.get("ca")
    mode = said.get("ssl", "verify-full" if ca else "")
    told = {"PGSSLMODE": mode} if mode else {}
    if mode.startswith("verify-"):
        # Without a file psql would look for one of its own in the home directory.
        told["PGSSLROOTCERT"] = ca or ssl.get_default_verify_paths().cafile or ""
    return told


def ask_redis(url: str) -> None:
    """Whether it takes our password. Raises `StackError` with what it says."""
    from redis import Redis, RedisError  # noqa: PLC0415 - only `up` needs it

    ca = options(url).get("ca")
    tls = {"ssl_ca_certs": ca} if ca and url.startswith("rediss:") else {}
    try:
        plain = urlunsplit(urlsplit(url)._replace(query=""))
        with Redis.from_url(plain, socket_timeout=3, socket_connect_timeout=3, **tls) as client:
            client.ping()
    except (RedisError, ValueError) as error:
        raise StackError(
            _untrusted("REDIS_URL", url, error) or f"Redis does not let us in: {error}"
        ) from error


def ask_elasticsearch(url: str) -> None:
    """Whether it takes our user. Raises `StackError` when it refuses him."""
    parts = urlsplit(url)
    place = f"{'https' if parts.scheme.endswith('+https') else 'http'}://{parts.netloc.rpartition('@')[2]}/"
    headers = {"authorization": _basic(parts)} if parts.username else {}
    try:
        request = urllib.request.Request(place, headers=headers)
        urllib.request.urlopen(request, timeout=10, context=_trust(url)).close()
    except urllib.error.HTTPError as error:
        # A user of no more than its indices may be forbidden to see this, and is let in.
        if error.code == HTTPStatus.UNAUTHORIZED:
            raise StackError("Elasticsearch refuses the user and password of ELASTICSEARCH_URL") from error
    except OSError as error:
        untrusted = _untrusted("ELASTICSEARCH_URL", url, error)
        raise StackError(untrusted or f"Elasticsearch does not answer: {error}") from error


def _trust(url: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=options(url).get("ca"))


def _untrusted(variable: str, url: str, error: Exception) -> str | None:
    """What to change in a variable when the server has no certificate that we trust."""
    at = urlsplit(url)
    reason = distrust(error, f"{at.hostname}:{at.port}" if at.port else str(at.hostname))
    return f"{variable}: {reason}" if reason else None


def _basic(parts: SplitResult) -> str:
    account = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(account.encode()).decode()}"


def _rabbitmq(api: str, secrets: dict[str, str]) -> None:
    document = broker_accounts.with_accounts(broker_accounts.load(), secrets)
    parts = urlsplit(api)
    place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
    request = urllib.request.Request(
        f"{place.rstrip('/')}/definitions",
        data=json.dumps(document).encode(),
        headers={"content-type": "application/json", "authorization": _basic(parts)},
    )
    try:
        urllib.request.urlopen(request, timeout=30, context=_trust(api)).close()
    except urllib.error.HTTPError as error:
        raise StackError(f"RabbitMQ refuses to make the accounts: {error.read()[:200]!r}") from error
    except OSError as error:
        untrusted = _untrusted("RABBITMQ_API", api, error)
        raise StackError(untrusted or f"RabbitMQ's management API does not answer: {error}") from error


def _bucket(servers: Servers) -> None:
    # Loaded here, because it takes longer than all the rest of these tools together.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    parts = urlsplit(servers.s3(BUCKET))
    said = options(servers.s3(BUCKET))
    key = None if parts.username is None else unquote(parts.username)
    secret = None if parts.password is None else unquote(parts.password)
    region = said.get("region", "us-east-1")
    config = Config(
        s3={"addressing_style": "path"}, connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2}
    )
    store = boto3.client(
        "s3", endpoint_url=said.get("endpoint") or None, region_name=region, config=config,
        aws_access_key_id=key, aws_secret_access_key=secret, verify=said.get("ca"),
    )  # fmt: skip
    try:
        store.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise StackError(f"the object store refuses to make the bucket: {error}") from error
    except BotoCoreError as error:
        untrusted = _untrusted("S3_URL", said.get("endpoint", ""), error)
        raise StackError(untrusted or f"the object store does not answer: {error}") from error
