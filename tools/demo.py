"""`make demo`: a campaign from nothing to its report on this machine, without a real phone.

Starts everything that `make up` starts, with a data folder of its own and on free ports; creates an account, a flow and
a script for the sandbox carrier; posts a campaign over HTTP; shows its progress; prints a summary; stops what it
started. The exit code is 0 only if every call ended, no attempt rang twice, and never more calls were up than channels.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools import sip_demo
from tools.local.project import PROJECT
from tools.local.signals import interrupt_on_stop_signals
from tools.sipp_party import NoSipp, Sipp
from tools.stack import Client, Stack, StackFailed

CHANNELS = 60
# The APIs that the sandbox carrier speaks: Exotel's, which our driver of that name uses, and Twilio's. And a SIP trunk,
# whose far end is sipp.
CARRIERS = ("sandbox", "twilio", "sip")
MOST_NUMBERS = 5000
SID, FLOW_ID, CALLER_ID = "demo", "1", "08012345678"
# Waits between attempts are in minutes; a minute of the demo takes this many seconds.
RETRY_MINUTE_SECONDS = 2
# Far beyond what the largest demo needs, so that it ends if the campaign never does.
PATIENCE_SECONDS = 600

FLOW = {
    "steps": [
        {"say": "This is the school. There is no class tomorrow."},
        {
            "gather": {
                "prompt": [{"say": "Press 1 if you have heard this, 2 to hear it again."}],
                "branches": {"1": [{"say": "Thank you."}], "2": [{"say": "There is no class tomorrow."}]},
                "otherwise": [{"say": "Goodbye."}],
                "attempts": 2,
            }
        },
        {"hangup": True},
    ]
}
SCRIPT = {
    "seed": 1,
    "time_scale": 0.25,
    "default": [
        {"outcome": "completed", "weight": 6},
        {"outcome": "no-answer", "ring": 12, "weight": 2},
        {"outcome": "busy", "weight": 1},
        {"outcome": "failed", "weight": 1},
    ],
}

console = Console()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Run a campaign against the sandbox carrier.")
    parser.add_argument("--numbers", type=int, default=200, help=f"how many people to call, 1 to {MOST_NUMBERS:,}")
    parser.add_argument("--carrier", choices=CARRIERS, default=CARRIERS[0], help="the API to dial over (%(default)s)")
    options = parser.parse_args()
    numbers = options.numbers
    if not 1 <= numbers <= MOST_NUMBERS:
        parser.error(f"one campaign takes 1 to {MOST_NUMBERS:,} numbers, not {numbers:,}: make demo N=1000")
    interrupt_on_stop_signals()
    data_dir = Path(os.environ.get("DATA_DIR", PROJECT / ".data")) / "demo"
    shutil.rmtree(data_dir, ignore_errors=True)
    settings = {"RETRY_MINUTE_SECONDS": str(RETRY_MINUTE_SECONDS), "LOG_LEVEL": "WARNING"}
    stack = Stack(data_dir, settings | (sip_demo.SETTINGS if options.carrier == "sip" else {}))
    try:
        if options.carrier == "sip":
            return _run_over_sip(stack, numbers)
        return _run(stack, numbers, options.carrier)
    except KeyboardInterrupt:
        console.print("[yellow]stopped before its end")
        return 130
    except (StackFailed, NoSipp, requests.RequestException, TimeoutError) as error:
        console.print(f"[red]{error}", highlight=False)
        return 1
    finally:
        with console.status("stopping every process"):
            stack.stop()


def _numbers(count: int) -> list[str]:
    return [f"+9198{number:08d}" for number in range(10_000_000, 10_000_000 + count)]


def _run_over_sip(stack: Stack, numbers: int) -> int:
    """Dial over sipp, whose phones do what the last two digits of their numbers say (tools/sipp/trunk.xml)."""
    stack.data_dir.mkdir(parents=True, exist_ok=True)
    with sip_demo.far_end(stack) as party:
        return _run(stack, numbers, "sip", party)


def _run(stack: Stack, numbers: int, carrier: str, party: Sipp | None = None) -> int:
    with console.status("starting PostgreSQL, Valkey, web, workers, beat, flower and the sandbox carrier"):
        stack.start()
        stack.wait_until_ready()
    console.print(f"running: API and admin {stack.url}, tasks {stack.flower_url}", highlight=False)
    client = _prepare(stack, carrier, party)
    began = time.monotonic()
    campaign = client.post_campaign(
        {
            "name": "No class tomorrow",
            "caller_id": CALLER_ID,
            "url": f"http://my.exotel.com/{SID}/exoml/start_voice/{FLOW_ID}",
            "from": sip_demo.numbers(numbers) if party else _numbers(numbers),
            "retries": {"number_of_retries": 2, "interval_mins": 1, "mechanism": "Linear"},
            "custom_field": "demo",
        }
    )
    ended = _follow(client, campaign["id"], numbers)
    seconds = time.monotonic() - began
    report = stack.data_dir / "report.csv"
    report.write_bytes(requests.get(ended["report_url"], timeout=60).content)
    totals = sip_demo.totals(party) if party else stack.rings(totals="1")["totals"]
    return _judge(totals, ended, report, numbers, seconds)


def _prepare(stack: Stack, carrier: str, party: Sipp | None) -> Client:
    options = ["--caller-id", CALLER_ID, "--calling-hours", "00:00-24:00", "--channels", str(CHANNELS)]
    if party:
        sip_demo.create_trunk(stack, "demo", party)
    elif carrier != "sandbox":
        stack.create_trunk("demo", carrier)
    if carrier != "sandbox":
        options += ["--trunk", "demo"]
    client = stack.create_account(SID, *options, "--starts-per-minute", "6000")
    stack.create_flow(SID, FLOW_ID, {"steps": FLOW["steps"][:1]} if party else FLOW)
    stack.script(SCRIPT)
    return client


def _follow(client: Client, campaign_id: str, numbers: int) -> dict[str, Any]:
    """Show the progress until the campaign has ended; returns the campaign."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[now]}"),
        TimeElapsedColumn(),
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("calling", total=numbers, now="")
        while time.monotonic() < deadline:
            campaign = client.campaign(campaign_id)
            stats = campaign["stats"]
            now = (
                f"{stats['in-progress'] + stats['retrying']} up, {stats['retry']} to retry, {stats['created']} waiting"
            )
            progress.update(bar, completed=numbers - stats["pending"], now=now)
            if campaign["report_url"]:
                return campaign
            time.sleep(0.5)
    raise TimeoutError(f"the campaign has not ended after {PATIENCE_SECONDS} s: {stats}")


def _judge(totals: dict[str, int], campaign: dict[str, Any], report: Path, numbers: int, seconds: float) -> int:
    """Print the summary; returns 0 if the campaign, its report and the ring log agree that all went well."""
    stats = campaign["stats"]
    lines = len(report.read_text().splitlines()) - 1
    checks = {
        "campaign": (campaign["status"], campaign["status"] == "Completed"),
        "numbers ended": (f"{numbers - stats['pending']} of {numbers}", stats["pending"] == 0),
        "answered / failed": (f"{stats['completed']} / {stats['failed']}", True),
        "rings": (str(totals["rings"]), totals["rings"] >= numbers),
        "rung twice for one attempt": (str(totals["double_rings"]), totals["double_rings"] == 0),
        "most calls at once": (f"{totals['most_at_once']} of {CHANNELS}", totals["most_at_once"] <= CHANNELS),
        "lines in the report": (f"{lines}: {_short(report)}", lines == numbers),
        "seconds": (f"{seconds:.1f}", True),
    }
    table = Table(title=campaign["name"], show_header=False)
    for name, (value, is_good) in checks.items():
        table.add_row(name, value, "[green]✓" if is_good else "[red]✗")
    console.print(table)
    return 0 if all(is_good for _, is_good in checks.values()) else 1


def _short(path: Path) -> str:
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
