"""nginx before everything: its configuration, filled in from deploy/nginx for this stack."""

import grp
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from servers import install
from servers.trouble import Trouble

from stack.house import ROOT, House, StackError
from stack.passwords import edge_secret

_PACKAGE = "nginx-light"
TEMPLATES = ROOT / "deploy" / "nginx"


def find_nginx() -> str:
    """The program, installed where that is allowed. Raises `StackError` when it cannot be had."""
    if found := _nginx():
        return found
    try:
        install.apt([_PACKAGE], say=print)
    except Trouble as trouble:
        raise StackError(f"nginx is missing: {trouble}") from trouble
    return _nginx() or _PACKAGE


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def command(house: House) -> list[str]:
    """How the edge is run; in the foreground, everything it writes under `run/edge`."""
    return [find_nginx(), "-p", str(prefix(house)), "-c", "nginx.conf", "-e", "stderr"]


def group_file(house: House) -> Path:
    """Which nginx was started last (launch.py)."""
    return house.run / "edge" / "group"


def address(house: House) -> str:
    """Where this machine reaches it."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    host = everywhere.get(house.host) or (f"[{house.host}]" if ":" in house.host else house.host)
    return f"{host}:{house.port}"


def prefix(house: House) -> Path:
    return house.run / "edge"


def configure(house: House) -> None:
    """Write the configuration and let nginx look at it. Raises `StackError` with what nginx says."""
    values = {
        "USER": nobody(),
        "RUN": str(prefix(house)),
        "LISTEN": f"[{house.host}]:{house.port}" if ":" in house.host else f"{house.host}:{house.port}",
        "GATEWAY": upstreams(house.addresses("gateway")),
        "STREAM": upstreams(house.addresses("stream")),
        "EDGE_SECRET": edge_secret(house),
    }
    conf = prefix(house) / "conf.d"
    conf.mkdir(parents=True, exist_ok=True, mode=0o700)
    fill(TEMPLATES / "nginx.conf.template", prefix(house) / "nginx.conf", values)
    for template in (TEMPLATES / "templates").glob("*.template"):
        fill(template, conf / template.stem, values)
    check(house)


def check(house: House) -> None:
    """`nginx -t`."""
    done = subprocess.run([*command(house), "-t", "-q"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"nginx refuses its configuration: {done.stderr.strip()}")


def upstreams(addresses: list[str]) -> str:
    """What stands after `server` in an upstream block, for one address or several."""
    return " max_fails=0; server ".join(addresses)


def fill(template: Path, target: Path, values: Mapping[str, str]) -> None:
    """What envsubst does in the nginx image: only the named variables, and only as `${NAME}`."""
    # nginx's own variables are `$name`; they must stay.
    text = re.sub(r"\$\{([A-Z_]+)\}", lambda found: values[found[1]], template.read_text("utf-8"))
    target.write_text(text, "utf-8")


def nobody() -> str:
    """Whoever parses what strangers send is nobody; only root can and must say so."""
    if os.geteuid() != 0:
        return ""
    nobody = pwd.getpwnam("nobody")
    return f"user {nobody.pw_name} {grp.getgrgid(nobody.pw_gid).gr_name};"
