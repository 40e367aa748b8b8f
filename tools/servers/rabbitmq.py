"""RabbitMQ in two flavours: the machine's own, and 4.x in a Debian below a changed root (root only).

The real script is run, not the packaged wrapper: that one insists on its user and its directories. Every
path is moved into the stack. epmd, the broker's port mapper, outlives it: it is known by our port, and
ended after it.
"""

import shutil
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from servers.process import Launch, account, by_environment, send_to
from servers.server import Server, answers, environment, program
from servers.stack import HOST, USER, Stack

_SCRIPT = "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"
INSIDE = "/srv/rabbitmq"  # where a changed root sees the stack's directory


def changed_root(cache: Path) -> Path:
    """Where installing puts the Debian that has RabbitMQ 4."""
    return cache / "rabbitmq4-trixie"


def _script4(stack: Stack) -> str:
    root = changed_root(stack.cache)
    found = sorted(root.glob(_SCRIPT.lstrip("/"))) if (root / "installed").exists() else []
    return f"/{found[-1].relative_to(root)}" if found else ""


def _missing(flavour: str, stack: Stack) -> str:
    if flavour == "rabbitmq4":
        return "" if _script4(stack) and shutil.which("unshare") else "RabbitMQ 4"
    return "" if program("rabbitmq-server", _SCRIPT) else "RabbitMQ"


def _prepare(flavour: str, stack: Stack) -> None:
    home = stack.home(flavour)
    for name in ("mnesia", "log"):
        if not (home / name).exists():
            (home / name).mkdir(mode=0o700)
            stack.give(home / name)
    settings = {
        "listeners.tcp.1": f"{HOST}:{stack.port(_amqp(flavour))}",
        "management.tcp.ip": HOST, "management.tcp.port": stack.port(f"{flavour}-api"),
        "prometheus.tcp.ip": HOST, "prometheus.tcp.port": stack.port(f"{flavour}-metrics"),
        "default_user": USER, "default_pass": stack.password, "log.console": "false",
        "prometheus.return_per_object_metrics": "true",
        "disk_free_limit.absolute": "50MB", "vm_memory_high_watermark.absolute": "1GB",
    }  # fmt: skip
    stack.write(home / "rabbitmq.conf", "".join(f"{name} = {value}\n" for name, value in settings.items()))
    stack.write(home / "enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")


def _launch(flavour: str, stack: Stack) -> Launch:
    home = stack.home(flavour)
    if flavour == "rabbitmq":
        script = program("rabbitmq-server", _SCRIPT)
        return Launch([script], _variables_of_the_script(flavour, stack, home, script))
    root, script = changed_root(stack.cache), _script4(stack)
    owner = account()
    assert owner is not None, "only root installs this flavour"
    # mounts of its own: they end with the broker, and two stacks share one root
    enter = (
        'mount --bind /proc "$1/proc" && mount --bind "$2" "$1$3" && '
        'exec chroot --userspec="$4" "$1" /bin/sh -c "cd $3 && exec $5"'
    )
    apart = ["unshare", "--mount", "--propagation", "private"]
    user = f"{owner.pw_uid}:{owner.pw_gid}"
    argv = [*apart, "sh", "-c", enter, "sh", str(root), str(home), INSIDE, user, script]
    return Launch(argv, _variables_of_the_script(flavour, stack, Path(INSIDE), script), as_root=True)


def _variables_of_the_script(flavour: str, stack: Stack, home: Path, script: str) -> dict[str, str]:
    return environment(
        home, RABBITMQ_HOME=str(Path(script).parent.parent),
        RABBITMQ_NODENAME=f"antiphon-{stack.first_port}@localhost",
        RABBITMQ_CONF_ENV_FILE="/dev/null", RABBITMQ_CONFIG_FILE=f"{home}/rabbitmq",
        RABBITMQ_ADVANCED_CONFIG_FILE=f"{home}/advanced.config",
        RABBITMQ_ENABLED_PLUGINS_FILE=f"{home}/enabled_plugins", RABBITMQ_MNESIA_BASE=f"{home}/mnesia",
        RABBITMQ_LOG_BASE=f"{home}/log", RABBITMQ_LOGS=f"{home}/log/broker.log",
        RABBITMQ_PID_FILE=f"{home}/broker.pid", RABBITMQ_DIST_PORT=str(stack.port(f"{flavour}-distribution")),
        ERL_EPMD_PORT=str(stack.port(f"{flavour}-epmd")), ERL_EPMD_ADDRESS=HOST,
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} "
        "+sbwt none +sbwtdcpu none +sbwtdio none",
        RUNNING_UNDER_SYSTEMD="1",  # the script becomes the broker, which then takes our signals itself
    )  # fmt: skip


def _is_ready(flavour: str, stack: Stack) -> bool:
    at = f"http://{HOST}:{stack.port(f'{flavour}-api')}/api/health/checks/port-listener/{stack.port(_amqp(flavour))}"
    return answers(at, user=USER, password=stack.password) == 200


def _variables(flavour: str, stack: Stack) -> Mapping[str, str]:
    who = f"{USER}:{stack.password}@{HOST}"
    number = flavour.removeprefix("rabbitmq")
    return {
        f"AMQP{number}_URL": f"amqp://{who}:{stack.port(_amqp(flavour))}/",
        f"RABBITMQ{number}_API": f"http://{who}:{stack.port(f'{flavour}-api')}/api",
        f"RABBITMQ{number}_METRICS": f"http://{HOST}:{stack.port(f'{flavour}-metrics')}/metrics",
    }


def _end_epmd(flavour: str, stack: Stack) -> None:
    for pid in by_environment("epmd", f"ERL_EPMD_PORT={stack.port(f'{flavour}-epmd')}"):
        send_to(pid, signal.SIGKILL)


def _amqp(flavour: str) -> str:
    return flavour.replace("rabbitmq", "amqp")


def _flavour(name: str) -> Server:
    listens = (_amqp(name), f"{name}-api", f"{name}-metrics", f"{name}-distribution", f"{name}-epmd")
    return Server(
        name, listens, partial(_missing, name), partial(_prepare, name), partial(_launch, name),
        partial(_is_ready, name), partial(_variables, name), seconds=120, after=partial(_end_epmd, name),
    )  # fmt: skip


RABBITMQ = _flavour("rabbitmq")
RABBITMQ4 = _flavour("rabbitmq4")
