"""The whole system with RabbitMQ as its broker instead of Redis."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.commands import StackWithCommands
from tools.local.ports import free_ports
from tools.stack import running

SERVER = shutil.which("rabbitmq-server") or "/usr/lib/rabbitmq/bin/rabbitmq-server"
START_SECONDS = 240

pytestmark = pytest.mark.skipif(not Path(SERVER).exists(), reason="no rabbitmq-server on this machine")


class StackWithoutFlower(StackWithCommands):
    """What the messages of a campaign pass through."""

    up_options = ("--only", "web,events,control,dispatch,dial,webhooks,load,beat,sandbox")


@pytest.fixture
def broker(tmp_path):
    """Start a RabbitMQ on free ports, in a folder of its own. Returns its address."""
    port, distribution, names = free_ports(3)
    (tmp_path / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{port}\nlog.console.level = warning\n")
    (tmp_path / "enabled_plugins").write_text("[].\n")
    environment = os.environ | {
        "HOME": str(tmp_path),
        "RABBITMQ_NODENAME": f"trunkline{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONFIG_FILE": str(tmp_path / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(tmp_path / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(tmp_path / "data"),
        "RABBITMQ_LOG_BASE": str(tmp_path / "log"),
        "RABBITMQ_PID_FILE": str(tmp_path / "pid"),
    }
    with (tmp_path / "output").open("wb") as output:
        server = subprocess.Popen(
            ["/usr/lib/rabbitmq/bin/rabbitmq-server"],  # the one on the path changes to a user of its own
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_it_listens(port, server, tmp_path / "output")
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
        # The daemon that resolves the names of nodes outlives the node by design.
        subprocess.run(["epmd", "-port", str(names), "-kill"], capture_output=True, check=False)


def wait_until_it_listens(port, server, output):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, output.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(output.read_text())


def test_a_campaign_over_rabbitmq(broker, tmp_path, of_migrated_data):
    settings = {"CELERY_BROKER_URL": broker, "RETRY_MINUTE_SECONDS": "1", "WEB_WORKERS": "1"} | of_migrated_data
    with running(tmp_path / "stack", settings, StackWithoutFlower) as stack:
        stack.script({"time_scale": 0.1, "default": [{"outcome": "completed", "weight": 3}, {"outcome": "busy"}]})
        options = ["--caller-id", "08012345678", "--calling-hours", "00:00-24:00", "--starts-per-minute", "6000"]
        client = stack.create_account("rabbit", *options, "--channels", "10")
        campaign = client.post_campaign(
            {
                "caller_id": "08012345678",
                "from": [f"+9198{number:08d}" for number in range(10_000_000, 10_000_040)],
                "read_via_text": "There is no class tomorrow.",
                "flow_type": "greeting",
                "retries": {"number_of_retries": 1, "interval_mins": 1, "mechanism": "Linear"},
            }
        )
        deadline = time.monotonic() + 240
        while (ended := client.campaign(campaign["id"]))["status"] != "Completed":
            assert time.monotonic() < deadline, ended
            time.sleep(0.2)
        rings = stack.rings(totals="1")["totals"]
        queues = stack.manage("shell", "-c", QUEUES)
    assert (ended["stats"]["pending"], rings["double_rings"]) == (0, 0)
    assert rings["rings"] >= 40
    assert rings["most_at_once"] <= 10
    assert "of the broker: []" in queues, "no message went through Redis"


# Keys that a broker over Redis would have left there.
QUEUES = """
from core.redis_client import redis_client
print("of the broker:", redis_client().keys("*kombu*"))
"""
