"""Prometheus and Grafana are configured by files: they are valid, complete, and every alarm has its page.

That each name in them is really exported is seen on a running platform (tests-e2e/test_telemetry.py).
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
HERE = ROOT / "deploy" / "observability"
ALERTS = HERE / "prometheus" / "alerts.yml"
SERVICES = {"gateway", "auth", "user", "file", "catalog", "playlist", "library", "stream", "search"}


def promtool(*arguments: str | Path) -> None:
    if not shutil.which("promtool"):
        if os.environ.get("CI"):
            pytest.fail("promtool is missing: apt-get install prometheus (.ci/run does it)")
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((HERE / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            yield path.name, panel


def test_prometheus_takes_its_configuration_and_rules() -> None:
    promtool("check", "config", HERE / "prometheus" / "prometheus.yml")


def test_each_alert_rings_when_it_should_and_not_before() -> None:
    promtool("test", "rules", HERE / "prometheus" / "tests" / "alerts.test.yml")


def test_all_nine_processes_and_the_broker_are_looked_at() -> None:
    config = yaml.safe_load((HERE / "prometheus" / "prometheus.yml").read_text())
    assert {job["job_name"] for job in config["scrape_configs"]} == SERVICES | {"rabbitmq"}


def test_every_alert_says_what_is_wrong_and_where_help_is() -> None:
    manual = ROOT / "docs" / "operations.md"
    for rule in rules():
        notes = rule["annotations"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert len(notes["summary"]) > 20
        path, _, anchor = notes["runbook"].partition("#")
        assert (path, bool(anchor)) == ("docs/operations.md", True)
        if manual.exists():
            assert anchor in anchors(manual.read_text()), f"docs/operations.md has no heading #{anchor}"


def anchors(markdown: str) -> set[str]:
    """The anchors that headings and explicit marks make."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    made = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a (?:id|name)="([^"]+)"', markdown))


def test_every_query_of_a_dashboard_can_be_read(tmp_path: Path) -> None:
    queries = [target["expr"] for _, panel in panels() for target in panel["targets"]]
    assert len(queries) > 30
    named = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": named}]}))
    promtool("check", "rules", file)


def test_dashboards_have_what_grafana_wants() -> None:
    seen = set()
    for path in sorted((HERE / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        assert board["uid"] == path.stem
        assert board["uid"] not in seen
        seen.add(board["uid"])
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for name, panel in panels():
        assert panel["title"], name
        assert panel["type"] in ("timeseries", "table"), name
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"prometheus"}, name
    provisioning = HERE / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert source["uid"] == "prometheus"
    assert yaml.safe_load((provisioning / "dashboards" / "antiphon.yml").read_text())["providers"]


def test_the_collector_sends_what_it_receives_somewhere() -> None:
    config = yaml.safe_load((HERE / "collector.yml").read_text())
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind]), kind
            assert pipeline[kind]
