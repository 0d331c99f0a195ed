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

from tools.local.project import PROJECT
from tools.local.signals import interrupt_on_stop_signals
from tools.stack import Client, Stack, StackFailed

CHANNELS = 60
# The APIs that the sandbox carrier speaks: Exotel's, which our driver of that name uses, and Twilio's.
CARRIERS = ("sandbox", "twilio")
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
    stack = Stack(data_dir, {"RETRY_MINUTE_SECONDS": str(RETRY_MINUTE_SECONDS), "LOG_LEVEL": "WARNING"})
    try:
        return _run(stack, numbers, options.carrier)
    except KeyboardInterrupt:
        console.print("[yellow]stopped before its end")
        return 130
    except (StackFailed, requests.RequestException, TimeoutError) as error:
        console.print(f"[red]{error}", highlight=False)
        return 1
    finally:
        with console.status("stopping every process"):
            stack.stop()


def _run(stack: Stack, numbers: int, carrier: str) -> int:
    with console.status("starting PostgreSQL, Valkey, web, workers, beat, flower and the sandbox carrier"):
        stack.start()
        stack.wait_until_ready()
    console.print(f"running: API and admin {stack.url}, tasks {stack.flower_url}", highlight=False)
    client = _prepare(stack, carrier)
    began = time.monotonic()
    campaign = client.post_campaign(
        {
            "name": "No class tomorrow",
            "caller_id": CALLER_ID,
            "url": f"http://my.exotel.com/{SID}/exoml/start_voice/{FLOW_ID}",
            "from": [f"+9198{number:08d}" for number in range(10_000_000, 10_000_000 + numbers)],
            "retries": {"number_of_retries": 2, "interval_mins": 1, "mechanism": "Linear"},
            "custom_field": "demo",
        }
    )
    ended = _follow(client, campaign["id"], numbers)
    seconds = time.monotonic() - began
    report = stack.data_dir / "report.csv"
    report.write_bytes(requests.get(ended["report_url"], timeout=60).content)
    return _judge(stack, ended, report, numbers, seconds)


def _prepare(stack: Stack, carrier: str) -> Client:
    options = ["--caller-id", CALLER_ID, "--calling-hours", "00:00-24:00", "--channels", str(CHANNELS)]
    if carrier != "sandbox":
        stack.create_trunk("demo", carrier)
        options += ["--trunk", "demo"]
    client = stack.create_account(SID, *options, "--starts-per-minute", "6000")
    stack.create_flow(SID, FLOW_ID, FLOW)
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


def _judge(stack: Stack, campaign: dict[str, Any], report: Path, numbers: int, seconds: float) -> int:
    """Print the summary; returns 0 if the campaign, its report and the ring log agree that all went well."""
    totals, stats = stack.rings(totals="1")["totals"], campaign["stats"]
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
