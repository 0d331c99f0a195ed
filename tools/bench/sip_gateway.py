"""What one SIP gateway carries: calls at once with sound both ways, over sipp on loopback."""

import array
import json
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tools.bench.figures import Row, at_least, at_most, not_measured, row
from tools.bench.run import Run
from tools.bench.system import CALLER_ID, System, campaign_body, number, system
from tools.local import process_groups
from tools.local.ports import free_ports
from tools.local.project import read_procfile
from tools.sipp_party import NoSipp, Sipp

NAME = "sip"
CALLS = 200
# How long each call talks, and over how many seconds of that the gateway is watched.
TALK_SECONDS, WATCHED_SECONDS = 30, 10
PATIENCE_SECONDS = 120
RATE = 8000


def measure(run: Run) -> list[Row]:
    """Measure the gateway's share of a core while all calls talk, how late its packets leave, set-ups, and failures.

    sipp sends every packet back, and shares the cores with the gateway, so the figures are floors.
    """
    calls = run.count(CALLS, least=20)
    sound = run.own_folder(NAME) / "talk.wav"
    _write_sound(sound)
    try:
        party = Sipp(sound.parent, "answer", ["-rtp_echo"])
    except NoSipp as error:
        return [not_measured(NAME, str(error))]
    try:
        # The text is read by nobody: each call hears the same half a minute.
        with system(run, NAME, {"SIP_SPEECH_COMMAND": f"cat {sound}", "SIP_CHANNELS": str(2 * calls)}) as whole:
            return _measure(run, whole, party, calls)
    finally:
        party.stop()


def _measure(run: Run, whole: System, party: Sipp, calls: int) -> list[Row]:
    whole.stack.manage("create_trunk", "line", "--carrier", "sip", "--base-url", f"sip:127.0.0.1:{party.port}")
    limits = ["--channels", str(calls), "--starts-per-minute", "1000000", "--calling-hours", "00:00-24:00"]
    client = whole.stack.create_account(NAME, *limits, "--trunk", "line", "--caller-id", CALLER_ID)
    whole.stack.create_flow(NAME, "1", {"steps": [{"say": "There is no class tomorrow."}]})
    with _gateway(whole) as (gateway, log):
        run.say(f"{calls} calls at once over one SIP gateway, {TALK_SECONDS} s each")
        client.post_campaign(campaign_body(client, [number(place) for place in range(calls)]))
        talking = "SELECT count(*) = %s FROM sipgateway_sipcall WHERE status = 'talking'"
        whole.wait_for(talking, calls, seconds=PATIENCE_SECONDS, what="the calls were not all answered")
        began, used = time.monotonic(), sum(gateway.cpu_times()[:2])
        time.sleep(WATCHED_SECONDS)
        share = 100 * (sum(gateway.cpu_times()[:2]) - used) / (time.monotonic() - began)
        ended = "SELECT count(*) = %s FROM sipgateway_sipcall WHERE status = 'ended'"
        whole.wait_for(ended, calls, seconds=PATIENCE_SECONDS, what="the calls did not end")
    failed = whole.value("SELECT count(*) FROM sipgateway_sipcall WHERE outcome <> 'completed'")
    took = whole.value("SELECT extract(epoch FROM max(answered_at) - min(inviting_at)) FROM sipgateway_sipcall")
    on = f"one SIP gateway, {calls} calls at once with sound both ways"
    return [
        row(f"{on}: share of a core", share, "%", NAME),
        row(f"{on}: a packet leaves late by, p99", _late(log), "ms", NAME, target=at_most(5)),
        row(
            f"{on}: first INVITE to last answer",
            calls / float(took),
            "set-ups/s",
            NAME,
            target=at_least(100),
        ),
        row(f"{on}: calls that failed", float(failed), "calls", NAME, target=at_most(0)),
    ]


@contextmanager
def _gateway(whole: System) -> Iterator[tuple[psutil.Process, Path]]:
    """Run a gateway for the length of a `with` block; its log is whole at the end of it."""
    [port] = free_ports(1)
    log = whole.stack.data_dir / "sipgateway.log"
    environment = {**whole.stack.environment, "SIP_PORT": str(port), "LOG_LEVEL": "INFO"}
    with log.open("wb") as output:
        process = process_groups.spawn(read_procfile()["sipgateway"], environment, stdout=output)
    try:
        whole.wait_for("SELECT count(*) > 0 FROM sipgateway_gateway", seconds=60, what="no gateway came up")
        yield psutil.Process(process.pid), log
    finally:
        process_groups.stop([process])


def _late(log: Path) -> float:
    """Return what the gateway says at its end of the ticks of its last minute."""
    for line in log.read_text().splitlines():
        if '"sip_gateway_stopped"' in line:
            return float(json.loads(line)["late_ms_p99"])
    raise LookupError(f"the gateway did not say how late its packets were: {log.read_text()[-500:]}")


def _write_sound(file: Path) -> None:
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        samples = array.array("h", [(at * 997) % 20_000 - 10_000 for at in range(RATE * TALK_SECONDS)])
        out.writeframes(samples.tobytes())
