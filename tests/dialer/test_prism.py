"""Prism, which judges HTTP by an OpenAPI document, between the driver and the sandbox, with Twilio's own document.

It is a program of npm's, so this is left out where it is not installed. `test_twilio_openapi.py` judges by the same
document everywhere, and more strictly: Prism lets fields pass that the document does not name.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from dialer.carriers.base import Accepted, Detection, Event
from dialer.carriers.twiml import TwilioCarrier
from tests.dialer import twilio
from tests.dialer.test_twilio_openapi import CALLS, DOCUMENT, FORM
from tests.dialer.test_twiml_carrier import access, look_up, place, request
from tests.sandbox.conftest import Client, sandbox, until
from tools.local.ports import free_ports

pytestmark = pytest.mark.skipif(
    shutil.which("prism") is None, reason="Prism is not installed: npm install --global @stoplight/prism-cli"
)

__all__ = ["sandbox"]
# Where the sandbox is led to: nobody listens there.
NOBODY = "http://127.0.0.1:9/"


@pytest.fixture
def judge(sandbox: Client, tmp_path: Path) -> Iterator[str]:
    """Return the address of a Prism that leads to the sandbox, and responds itself to what it refuses of either."""
    document = json.loads(json.dumps(DOCUMENT))
    form = document["paths"][CALLS]["post"]["requestBody"]["content"][FORM]
    # Prism reads a field that comes more than once as a list only where the document says so. In OpenAPI it need not.
    lists = [name for name, schema in form["schema"]["properties"].items() if schema.get("type") == "array"]
    form["encoding"] = {name: {"style": "form", "explode": True} for name in lists}
    (tmp_path / "twilio.json").write_text(json.dumps(document))
    [port] = free_ports(1)
    command = ["prism", "proxy", "--errors", "--port", str(port), str(tmp_path / "twilio.json"), sandbox.url]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        until(lambda: re.search(r"Prism is listening|fatal", log.read_text()))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def ask_for_everything(carrier, detection):
    asked = request(detection=detection, **dict.fromkeys(("flow_url", "callback_url", "error_url"), NOBODY))
    taken = place(carrier, asked)
    assert isinstance(taken, Accepted), taken
    for found in (look_up(carrier, taken.carrier_ref), look_up(carrier)):
        assert isinstance(found, Event), found
    carrier.withdraw({asked.attempt_id: taken.carrier_ref})
    carrier.hang_up([taken.carrier_ref])
    until(lambda: look_up(carrier, taken.carrier_ref).ended_at)


def test_it_finds_nothing_wrong_with_what_driver_and_sandbox_say(judge):
    carrier = TwilioCarrier.connect(access(judge))
    for detection in Detection:
        ask_for_everything(carrier, detection)
    [page] = carrier.list_calls(datetime.now(UTC) - timedelta(hours=1))
    assert len(page) == len(Detection)
    # It refuses what Twilio does not describe.
    address, wrong = f"{judge}/2010-04-01/Accounts/{twilio.ACCOUNT_SID}/Calls.json", {"To": "+919810000001"}
    assert requests.post(address, wrong, timeout=60).status_code == 422
