"""Elasticsearch: the small distribution of Maven Central, one node, one user with a password.

It brings no Java and few modules, and refuses settings of those it lacks; index settings that work here
work on a full one. The programs stay in the cache; each stack has its own configuration beside its data.
Its user is one of a file: that needs no keystore, which another JVM would have to write at each start, and no
TLS, because nobody but this machine is listened to.
"""

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from servers.process import Launch
from servers.server import Server, answers, environment
from servers.stack import HOST, USER, Stack

VERSION = "8.19.16"
_ROUNDS = 10_000
_PREFERRED = (17, 21)  # what this version was made for; newer ones are taken when there is nothing else


def programs(cache: Path) -> Path:
    """Where installing unpacks it."""
    return cache / f"elasticsearch-{VERSION}"


def java_home() -> str:
    """A Java of at least 17, the preferred versions first."""
    found: dict[int, str] = {}
    for release in sorted(Path("/usr/lib/jvm").glob("*/release")):
        if version := re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE):
            found[int(version[1])] = str(release.parent)
    order = [*_PREFERRED, *sorted(number for number in found if number > 17)]
    return next((found[number] for number in order if number in found), "")


def _missing(stack: Stack) -> str:
    if not (programs(stack.cache) / "bin/elasticsearch").exists():
        return "Elasticsearch"
    return "" if java_home() else "Java 17"


def _prepare(stack: Stack) -> None:
    home = stack.home("elasticsearch")
    for name in ("config", "data", "log", "tmp"):
        if not (home / name).exists():
            (home / name).mkdir(mode=0o700)
            stack.give(home / name)
    for left in (home / "config").glob("elasticsearch.keystore*"):
        left.unlink()  # made anew at each start, holds nothing of ours, and is fatal when half written
    settings = {
        "cluster.name": "antiphon", "node.name": "one", "path.data": home / "data", "path.logs": home / "log",
        "network.host": HOST, "http.port": stack.port("elasticsearch"),
        "transport.port": stack.port("elasticsearch-transport"), "discovery.type": "single-node",
        "xpack.security.enabled": "true", "xpack.security.enrollment.enabled": "false",
        "xpack.security.http.ssl.enabled": "false", "xpack.security.transport.ssl.enabled": "false",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }  # fmt: skip
    text = "".join(f"{name}: {value}\n" for name, value in settings.items())
    stack.write(home / "config/elasticsearch.yml", text)
    # a whole file instead of additions: the one it brings names another collector, and two are fatal
    options = [f"-Xms{stack.heap}", f"-Xmx{stack.heap}", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    if stack.is_fast:
        # To compile for speed takes more of a short life than it gives back.
        options.append("-XX:TieredStopAtLevel=1")
    stack.write(home / "config/jvm.options", "".join(f"{option}\n" for option in options))
    stack.write(home / "config/users", f"{USER}:{_hashed(stack.password)}\n")
    stack.write(home / "config/users_roles", f"superuser:{USER}\n")
    shipped = programs(stack.cache) / "config/log4j2.properties"
    stack.write(home / "config/log4j2.properties", shipped.read_text())


def _hashed(password: str) -> str:
    """As Elasticsearch writes it with the algorithm `pbkdf2`: 32 bytes of HMAC-SHA512, and of salt."""
    salt = os.urandom(32)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, 32)
    return f"{{PBKDF2}}{_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


def _launch(stack: Stack) -> Launch:
    home = stack.home("elasticsearch")
    env = environment(
        home, ES_JAVA_HOME=java_home(), ES_PATH_CONF=str(home / "config"), ES_TMPDIR=str(home / "tmp"),
        CLI_JAVA_OPTS="-Xmx32m -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    )  # fmt: skip
    return Launch([str(programs(stack.cache) / "bin/elasticsearch")], env)


def _is_ready(stack: Stack) -> bool:
    at = f"http://{HOST}:{stack.port('elasticsearch')}"
    asked = f"{at}/_cluster/health?wait_for_status=yellow&timeout=1s"
    return answers(asked, user=USER, password=stack.password) == 200


def _variables(stack: Stack) -> Mapping[str, str]:
    return {"ELASTICSEARCH_URL": f"http://{USER}:{stack.password}@{HOST}:{stack.port('elasticsearch')}"}


ELASTICSEARCH = Server(
    "elasticsearch", ("elasticsearch", "elasticsearch-transport"), _missing, _prepare, _launch, _is_ready,
    _variables, seconds=180,
)  # fmt: skip
