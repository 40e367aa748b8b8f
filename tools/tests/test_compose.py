"""docker-compose.yml: valid, hardened, in one order, and in agreement with the settings classes."""

import re
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

import compose_env
import orjson
import pytest
import yaml
from jsonschema import Draft202012Validator

from antiphon_common.settings import ServiceSettings

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
BLOCKS: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["gateway", "auth", "user", "file", "catalog", "playlist", "library", "stream", "search"]
ORDER = ["<<", "profiles", "restart", "read_only", "image", "build", "user", "hostname", "entrypoint", "command", "environment", "volumes",
         "tmpfs", "healthcheck", "depends_on", "ports"]  # fmt: skip
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|_URL$")


def test_it_is_valid_by_the_schema_of_the_specification() -> None:
    schema = orjson.loads((Path(__file__).parent / "data" / "compose-spec.json").read_bytes())
    assert [f"{list(e.path)}: {e.message}" for e in Draft202012Validator(schema).iter_errors(COMPOSE)] == []


def test_every_service_of_the_house_is_in_it() -> None:
    there = {path.parent.name for path in ROOT.glob("services/*/Dockerfile")} | {"gateway"}
    assert there == set(OURS) <= set(BLOCKS)


def written_keys() -> dict[str, list[str]]:
    """The keys of each block as they are written, before anchors are merged."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8").split("\nservices:\n")[1].split("\nvolumes:\n")[0]
    blocks = re.split(r"^  (\S+):\n", text, flags=re.MULTILINE)[1:]
    return {
        name: re.findall(r"^    (\S+):", body, flags=re.MULTILINE)
        for name, body in zip(blocks[::2], blocks[1::2], strict=True)
    }


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_each_block_has_its_keys_in_the_same_order(name: str) -> None:
    keys = written_keys()[name]
    assert keys == sorted(keys, key=ORDER.index)


def filled(value: object) -> str:
    """What compose makes of a value: variables get their default, or a word that looks like a password."""
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "0" * 48, str(value))
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def environment(name: str) -> dict[str, str]:
    return {key: filled(value) for key, value in BLOCKS[name]["environment"].items()}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_every_required_one_is_given(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings: type[ServiceSettings] = import_module(f"antiphon_{name}.settings").Settings
    prefix = str(settings.model_config["env_prefix"])
    written = environment(name)
    assert {key.removeprefix(prefix).lower() for key in written if key != "TMPDIR"} <= set(
        settings.model_fields
    )
    monkeypatch.chdir("/")  # no .env of anybody
    for key, value in written.items():
        monkeypatch.setenv(key, value)
    # The directory of secrets is a volume; anything may stand for it here.
    given = {"secrets_dir": tmp_path} if "secrets_dir" in settings.model_fields else {}
    assert settings(**given)


# Their images leave no other way: versitygw owns its volume as root, the two of Elastic write beside their programs.
AS_ROOT = {"s3"}
WRITABLE = {"elasticsearch", "kibana"}


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_nobody_is_root_or_writes_anywhere_but_into_a_volume(name: str) -> None:
    block = BLOCKS[name]
    assert ("user" not in block) is (name in AS_ROOT)
    assert not block.get("user", "1").startswith("0")
    assert block["read_only"] is (name not in WRITABLE)
    assert block["cap_drop"] == ["ALL"]
    assert block["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_our_processes_are_built_here_and_reached_by_the_edge_only(name: str) -> None:
    block = BLOCKS[name]
    assert "ports" not in block
    folder = "gateway" if name == "gateway" else f"services/{name}"
    assert block["build"]["dockerfile"] == f"{folder}/Dockerfile"


def test_no_secret_stands_on_a_command_line() -> None:
    for name, block in BLOCKS.items():
        words = [
            *block.get("command", []),
            *block.get("entrypoint", []),
            *block.get("healthcheck", {}).get("test", []),
        ]
        for word in words:
            assert not re.search(r"\$\{\w*(PASSWORD|KEY)", word), (
                f"{name}: compose itself would write it there"
            )
            assert not re.search(
                r"(?:-u|--user|-d|-a) *[\"']?[^|]*\$\$\w*PASSWORD", word.replace("printf", "|printf")
            ), name


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_whoever_is_waited_for_has_a_health_check(name: str) -> None:
    for needed, how in BLOCKS[name].get("depends_on", {}).items():
        assert needed in BLOCKS
        if how["condition"] == "service_healthy":
            assert BLOCKS[needed]["healthcheck"]["test"]
    for port in BLOCKS[name].get("ports", []):
        assert port.startswith(("127.0.0.1:", "${BIND:-127.0.0.1}:"))


# Not for the store but for its bucket, and not for the engine but for the account on it; both wait for these.
STANDS_FOR = {"s3": "bucket", "elasticsearch": "index-accounts"}


@pytest.mark.parametrize("name", OURS)
def test_each_process_waits_for_the_servers_that_it_is_told_of(name: str) -> None:
    told = set(re.findall(r"(?:@|//)([a-z][a-z0-9]*):\d+", " ".join(environment(name).values())))
    needed = told - {*OURS, "localhost"}
    assert needed
    for server in needed:
        waiter = BLOCKS[name]
        if made := STANDS_FOR.get(server):
            assert waiter["depends_on"][made] == {"condition": "service_completed_successfully"}
            waiter = BLOCKS[made]
        assert waiter["depends_on"][server] == {"condition": "service_healthy"}


def test_every_variable_of_the_edges_configuration_is_given_and_its_secret_is_the_gateways() -> None:
    edge, gateway = BLOCKS["edge"]["environment"], BLOCKS["gateway"]["environment"]
    templates = (ROOT / "deploy/nginx/templates").glob("*.template")
    wanted = {
        name
        for file in templates
        for name in re.findall(r"^[^#]*?\$\{(\w+)\}", file.read_text("utf-8"), re.MULTILINE)
    }
    assert wanted == set(edge)
    assert edge["EDGE_SECRET"] == gateway["GATEWAY_EDGE_SECRET"] == "${GATEWAY_EDGE_SECRET:?make env}"


def test_there_is_no_default_password() -> None:
    for name, block in BLOCKS.items():
        for key, value in (block.get("environment") or {}).items():
            if SECRET.search(key) and ("PASSWORD" in key or "@" in str(value) or "KEY" in key):
                assert re.search(r"\$\{\w+:\?make env\}", str(value)), f"{name}: {key} has a value of its own"


def test_named_volumes_are_declared_and_files_that_are_mounted_exist() -> None:
    for name, block in BLOCKS.items():
        for volume in block.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./deploy/secrets/"):
                continue  # made by `make env`
            known = (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
            assert known, f"{name} mounts {source}"


def test_the_environment_is_made_once_and_kept(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text((ROOT / "docker-compose.yml").read_text("utf-8"))
    (tmp_path / "deploy").mkdir()
    compose_env.main(tmp_path)
    first = [(tmp_path / ".env").read_text(), (tmp_path / "deploy/secrets/rabbitmq.json").read_text()]
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    values = [line.partition("=")[2] for line in first[0].splitlines()]
    assert len(set(values)) == len(values) >= 20
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values)
    assert not [value for value in values if value in first[1]], "hashes only"
    assert stat.S_IMODE((tmp_path / "deploy/secrets").stat().st_mode) == 0o700
    assert {user["name"] for user in orjson.loads(first[1])["users"]} == {*OURS, "antiphon"}
    compose_env.main(tmp_path)
    assert [(tmp_path / ".env").read_text(), (tmp_path / "deploy/secrets/rabbitmq.json").read_text()] == first


def test_what_somebody_wrote_into_the_environment_stays() -> None:
    text = compose_env.completed(
        "# mine\nPORT=9000\nREDIS_PASSWORD=own\nS3_SECRET_KEY=\n", ["REDIS_PASSWORD", "S3_SECRET_KEY"]
    )
    assert text.startswith("# mine\nPORT=9000\nREDIS_PASSWORD=own\n")
    assert re.search(r"^S3_SECRET_KEY=[0-9a-f]{48}$", text, re.MULTILINE)
    assert "S3_SECRET_KEY=\n" not in text
