"""The alarms and the dashboard to import: they name metrics that exist, and Prometheus takes them.

promtool comes with Debian's package `prometheus`; without it, what only it can judge is skipped.
"""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from tests.docs.pages import ROOT

PROMTOOL = shutil.which("promtool")
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/trunkline.json"
NAME = re.compile(r"\btrunkline_\w+")


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def metric_table() -> dict[str, str]:
    """Return the metrics of the operator's page, by name, each with its alarm; "" where there is none."""
    page = (ROOT / "docs/operator/operations.md").read_text()
    lines = page.partition("| metric |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    return {name: row[2] for row in rows for name in re.findall(r"`(\w+)", row[0])}


def expressions() -> str:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return "\n".join([rule["expr"] for rule in rules()] + shown)


def test_alarms_and_dashboard_name_metrics_that_exist():
    assert set(NAME.findall(expressions())) <= {f"trunkline_{name}" for name in metric_table()}


def test_every_alarm_of_the_page_is_a_rule():
    alarmed = set(NAME.findall("\n".join(rule["expr"] for rule in rules())))
    with_alarm = {f"trunkline_{name}" for name, alarm in metric_table().items() if alarm}
    # Two that pile up are seen by how long their oldest has waited.
    assert with_alarm - alarmed <= {"trunkline_inbox_events", "trunkline_webhooks_pending"}


def test_the_dashboard_shows_every_metric_of_the_page():
    shown = set(NAME.findall(DASHBOARD.read_text()))
    # Whether Redis may evict is a setting, and no curve.
    assert {f"trunkline_{name}" for name in metric_table()} - shown <= {
        "trunkline_redis_may_evict",
        "trunkline_carrier_ids_repeated_total",
    }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alarm_says_what_to_do(rule):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "remedy"}


@pytest.mark.skipif(PROMTOOL is None, reason="prometheus is not installed")
def test_promtool_takes_the_alarms_and_sees_them_go_off():
    for verb, file in (("check", ALERTS), ("test", ALERTS.with_name("alerts.test.yml"))):
        done = subprocess.run([str(PROMTOOL), verb, "rules", file], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
