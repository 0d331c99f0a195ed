"""One lane: a process with a running system of its own, which makes the runs that it is given and prints each result.

    python -m tools.chaos.lane DATA_DIR CARRIER

Reads lines `ROW SEED SECONDS` from its standard input and writes a line of JSON for each; ends with its input. The row
`random` is the second mode, for so many seconds. `ROW@CARRIER` is dialed over that one instead.
"""

import json
import os
import shutil
import sys
import time
import traceback
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import django

from tools.chaos.result import Result
from tools.chaos.system import System
from tools.local.signals import interrupt_on_stop_signals

if TYPE_CHECKING:
    from tools.chaos.run import Fault


def main() -> None:
    interrupt_on_stop_signals()
    system = System(Path(sys.argv[1]), sys.argv[2])
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, system.data_dir, ignore_errors=True)
        stack.callback(system.stop)
        system.start()
        system.wait_until_ready()
        # Not the servers that the environment may name: the judge looks at this system's own.
        os.environ.clear()
        os.environ.update(system.environment_of_tools, DJANGO_SETTINGS_MODULE="campaigns_project.settings")
        django.setup()
        _work(system)


def _work(system: System) -> None:
    # Models can be imported only now.
    from tools.chaos.faults import ROWS
    from tools.chaos.random_faults import rampage

    faults = {row.number: row.fault for row in ROWS}
    print("ready", flush=True)
    for line in sys.stdin:
        row, seed, seconds = line.split()
        number, _, carrier = row.partition("@")
        system.carrier = carrier or sys.argv[2]
        if number == "random":
            result = rampage(system, int(seed), float(seconds))
        else:
            result = _make_run(system, row, faults[number], int(seed))
        print(json.dumps(asdict(result)), flush=True)


def _make_run(system: System, row: str, fault: "Fault", seed: int) -> Result:
    """Make one run, judge it, and heal the system."""
    from tools.chaos.judge import judge
    from tools.chaos.receiver import Receiver
    from tools.chaos.run import Run
    from tools.chaos.watch import Watch

    receiver = Receiver()
    run, began, problem = Run(system, seed, receiver), time.time(), ""
    run.order()
    watch = Watch(run)
    try:
        with watch:
            run.make(fault)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the run's result
        problem = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    receiver.behave()
    try:
        return judge(row, run, watch, began, problem)
    finally:
        receiver.close()
        run.clean_up()
        system.heal()


if __name__ == "__main__":
    main()
