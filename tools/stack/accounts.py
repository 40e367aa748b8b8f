"""What the services find on the servers: a role and a schema each, a user of the broker each, and a bucket.

Made again at every start, which changes nothing that is there but sets the passwords of this stack. What is
made is written down in deploy/postgres and deploy/rabbitmq, the same for every way to run the platform.
"""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from urllib.parse import unquote, urlsplit, urlunsplit

import broker_accounts

from stack.environment import BUCKET
from stack.house import ROOT, SERVICES, House, StackError
from stack.passwords import passwords
from stack.servers import Servers

_SQL = ROOT / "deploy" / "postgres" / "antiphon.sql"


def make(house: House, servers: Servers) -> None:
    """All three. Raises `StackError` with the server's own words."""
    secrets = passwords(house)
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
    command = [psql, "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", str(_SQL)]
    done = subprocess.run(
        [*command, urlunsplit(("postgresql", place, parts.path, "", ""))],
        env={**os.environ, **told}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise StackError(f"Postgres refuses to make the accounts: {last}")


def _rabbitmq(api: str, secrets: dict[str, str]) -> None:
    document = broker_accounts.with_accounts(broker_accounts.load(), secrets)
    parts = urlsplit(api)
    account = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(
        f"{place.rstrip('/')}/definitions",
        data=json.dumps(document).encode(),
        headers={
            "content-type": "application/json",
            "authorization": f"Basic {b64encode(account.encode()).decode()}",
        },
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        raise StackError(f"RabbitMQ refuses to make the accounts: {error.read()[:200]!r}") from error
    except OSError as error:
        raise StackError(f"RabbitMQ's management API does not answer: {error}") from error


def _bucket(servers: Servers) -> None:
    # Loaded here, because it takes longer than all the rest of these tools together.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    parts = urlsplit(servers.s3(BUCKET))
    options = dict(part.partition("=")[::2] for part in parts.query.split("&") if part)
    key = None if parts.username is None else unquote(parts.username)
    secret = None if parts.password is None else unquote(parts.password)
    region = options.get("region", "us-east-1")
    config = Config(
        s3={"addressing_style": "path"}, connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2}
    )
    store = boto3.client(
        "s3", endpoint_url=options.get("endpoint") or None, region_name=region, config=config,
        aws_access_key_id=key, aws_secret_access_key=secret,
    )  # fmt: skip
    try:
        store.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise StackError(f"the object store refuses to make the bucket: {error}") from error
    except BotoCoreError as error:
        raise StackError(f"the object store does not answer: {error}") from error
