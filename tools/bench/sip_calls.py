"""SIP calls with sound on one gateway, with sipp as the trunk: its CPU, late packets, how fast calls are set up.

Everything shares the machine with sipp, which sends all sound back: the figures are floors.
"""

import re
import shlex
import sys
import time
from pathlib import Path

import psutil

from tools.bench.figures import Row, at_least, at_most, row
from tools.bench.run import Run, cpu_seconds
from tools.bench.system import CALLER_ID, FLOW, FLOW_ID, NO_PACE, System, system
from tools.local import process_groups
from tools.local.ports import free_ports
from tools.local.project import read_procfile
from tools.sipp_party import NoSipp, Sipp

NAME = "sip"
CALLS = 200
SID = TRUNK = "bench-sip"
TALK_SECONDS = 15
HELD_SECONDS = 8.0
PATIENCE_SECONDS = 120
# A speech engine that says the same to everybody: a tone of so many seconds.
ENGINE = (
    "import math,struct,sys,wave; out=wave.open(sys.stdout.buffer,'wb'); out.setparams((1,2,8000,0,'NONE','')); "
    f"out.writeframes(b''.join(struct.pack('<h',int(9000*math.sin(n/3))) for n in range({8000 * TALK_SECONDS})))"
)
_LATE = re.compile(r'"late_ms_p99": ?([0-9.]+)')


class Gateway:
    """`manage.py sipgateway`, as the Procfile starts it."""

    def __init__(self, whole: System, channels: int) -> None:
        [port] = free_ports(1)
        self._log = Path(whole.stack.data_dir) / "sipgateway.log"
        speech = f"{sys.executable} -c {shlex.quote(ENGINE)}"
        own = {"SIP_PORT": str(port), "SIP_CHANNELS": str(channels), "SIP_SPEECH_COMMAND": speech, "LOG_LEVEL": "INFO"}
        with self._log.open("wb") as log:
            environment = whole.stack.environment | own
            self._running = process_groups.spawn(read_procfile()["sipgateway"], environment, stdout=log)
        whole.stack.start_beside(self._running)
        self.process = psutil.Process(self._running.pid)
        at_work = "SELECT count(*) > 0 FROM sipgateway_gateway"
        whole.wait_for(at_work, seconds=PATIENCE_SECONDS, what="the gateway does not start")

    def stop(self) -> float:
        """Stop it. Returns by how many milliseconds the latest packets in a hundred left late in its last minute."""
        process_groups.stop([self._running])
        found = _LATE.search(self._log.read_text())
        if found is None:
            raise LookupError(f"the gateway did not say how late its packets were:\n{self._log.read_text()[-2000:]}")
        return float(found[1])


def measure(run: Run) -> list[Row]:
    """Measure a campaign over SIP whose calls are all up at once."""
    calls = run.count(CALLS, least=20)
    on = f"{calls} calls at once of {TALK_SECONDS} s, one gateway, sipp with echo beside it"
    run.say(on)
    try:
        party = Sipp(run.own_folder("sipp"), "answer", ["-rtp_echo"])
    except NoSipp as error:
        return [row(f"SIP calls with sound; not measured, as {error}", None, "calls", NAME)]
    try:
        with system(run, "sip") as whole:
            return _rows(whole, f"sip:127.0.0.1:{party.port}", calls, on)
    finally:
        party.stop()


def _rows(whole: System, trunk: str, calls: int, on: str) -> list[Row]:
    gateway = Gateway(whole, calls + 10)
    campaign = _campaign(whole, trunk, calls)
    whole.start(campaign)
    answered = "SELECT count(*) >= %s FROM sipgateway_sipcall WHERE answered_at IS NOT NULL"
    whole.wait_for(answered, calls, seconds=PATIENCE_SECONDS, what="the calls are not up")
    used, began = cpu_seconds([gateway.process]), time.monotonic()
    time.sleep(HELD_SECONDS)
    cores = (cpu_seconds([gateway.process]) - used) / (time.monotonic() - began)
    whole.wait_until_ended(campaign, PATIENCE_SECONDS)
    seconds = whole.value("SELECT extract(epoch FROM max(answered_at) - min(inviting_at)) FROM sipgateway_sipcall")
    failed = whole.value("SELECT count(*) FROM sipgateway_sipcall WHERE outcome <> 'completed'")
    late = gateway.stop()
    return [
        row(f"lateness of a packet, p99, {on}", late, "ms", NAME, target=at_most(5)),
        row(f"calls that failed, {on}", failed, "calls", NAME, target=at_most(0)),
        row(
            f"calls answered a second, from the first INVITE on, {on}",
            calls / float(seconds),
            "calls/s",
            NAME,
            target=at_least(100),
        ),
        row(f"cores that the gateway uses, {on}", cores, "cores", NAME, target=at_most(1)),
    ]


def _campaign(whole: System, trunk: str, calls: int) -> str:
    stack = whole.stack
    stack.manage("create_trunk", TRUNK, "--carrier", "sip", "--base-url", trunk)
    limits = ["--channels", str(calls), "--starts-per-minute", str(NO_PACE), "--requests-per-minute", str(NO_PACE)]
    hours = ["--calling-hours", "00:00-24:00"]
    client = stack.create_account(SID, *limits, *hours, "--trunk", TRUNK, "--caller-id", CALLER_ID)
    stack.create_flow(SID, FLOW_ID, FLOW)
    return whole.campaign(client, calls)
