"""The second mode: for a given time a steady load, and one fault after another, chosen by the seed."""

import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from django.db import connection

from core.redis_client import redis_client
from tools.chaos.faults.servers import terminate_connections
from tools.chaos.judge import judge
from tools.chaos.receiver import Receiver
from tools.chaos.result import Result
from tools.chaos.run import PATIENCE_SECONDS, SCRIPT, Run
from tools.chaos.system import System
from tools.chaos.watch import Watch

# A wave is a run's three campaigns on an account of its own; so many are dialled at once.
WAVE_EVERY_SECONDS = 12.0
# A process that is frozen for longer could send a request after recovery has given it up
# (docs/operator/guarantees.md).
LONGEST_FREEZE = 3.0
CARRIER_FAULTS = (
    "http-429", "http-500", "http-503", "hang-before-ring", "hang-after-ring", "error-after-ring",
    "malformed-answer", "drop-callbacks", "repeat-callbacks", "delay-callbacks", "shuffle-callbacks",
)  # fmt: skip

Break = Callable[[System, random.Random], str]


def rampage(system: System, seed: int, seconds: float) -> Result:
    """Dial wave after wave while faults strike, each repaired before the next; returns one result for all waves."""
    chance, began = random.Random(seed), time.time()
    receiver = Receiver()
    system.script(SCRIPT | {"seed": seed})
    waves: list[Wave] = []
    while time.time() - began < seconds:
        if not waves or time.time() - waves[-1].began > WAVE_EVERY_SECONDS:
            waves.append(Wave(system, seed * 10_000 + len(waves), receiver, seconds))
        time.sleep(chance.uniform(0.5, 4))
        struck = chance.choice(BREAKS)(system, chance)
        print(f"{time.time() - began:6.1f} s: {struck}", file=sys.stderr)
    system.script(SCRIPT | {"seed": seed})
    connection.close()  # this thread's own, which a fault may have ended
    results = [wave.result() for wave in waves]
    receiver.close()
    system.heal()
    return Result(
        fault="random",
        seed=seed,
        rings=sum(result.rings for result in results),
        double_rings=max(result.double_rings for result in results),
        lost=sum(result.lost for result in results),
        cap_excess=max(result.cap_excess for result in results),
        stall=max(result.stall for result in results),
        recovery=None,
        seconds=time.time() - began,
        violations=tuple(f"wave {result.seed}: {violation}" for result in results for violation in result.violations),
    )


class Wave:
    """A run in a thread, without a fault of its own."""

    def __init__(self, system: System, seed: int, receiver: Receiver, seconds: float) -> None:
        self.began = time.time()
        self._problem = ""
        self._arguments = (system, seed, receiver, seconds + PATIENCE_SECONDS)
        self._run: Run | None = None
        self._watch: Watch | None = None
        self._thread = threading.Thread(target=self._make)
        self._thread.start()

    def result(self) -> Result:
        self._thread.join()
        assert self._run is not None, self._problem
        assert self._watch is not None
        judged = judge("random", self._run, self._watch, self.began, self._problem)
        self._run.clean_up()
        return judged

    def _make(self) -> None:
        try:
            self._run = Run(*self._arguments)
            self._watch = Watch(self._run)
            with self._watch:
                self._run.make(_nothing)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is the wave's result
            self._problem = f"{type(error).__name__}: {error}"
        finally:
            connection.close()


def _nothing(_run: Run) -> Iterator[None]:
    yield


def _kill(system: System, chance: random.Random) -> str:
    name = chance.choice(["web", "events", "control", "dispatch", "dial", "webhooks", "load", "beat"])
    system.kill(name)
    return f"kill -9 of {name}"


def _freeze(system: System, chance: random.Random) -> str:
    name = chance.choice(["web", "events", "control", "dispatch", "dial", "beat"])
    seconds = chance.uniform(0.5, LONGEST_FREEZE)
    system.freeze(name)
    time.sleep(seconds)
    system.thaw(name)
    return f"{name} frozen for {seconds:.1f} s"


def _deploy(system: System, chance: random.Random) -> str:
    name = chance.choice(["web", "events", "control", "dispatch", "dial", "webhooks"])
    system.shut_down(name)
    system.spawn(name)
    return f"{name} stopped and started"


def _redis(system: System, chance: random.Random) -> str:
    how = chance.choice(["restarted", "flushed", "queues lost"])
    match how:
        case "restarted":
            system.stop_valkey()
            time.sleep(chance.uniform(0, 4))
            system.start_servers()
        case "flushed":
            redis_client().flushall()
        case "queues lost":
            redis_client().delete("control", "dispatch", "dial", "webhooks", "load")
    return f"Redis {how}"


def _postgres(system: System, chance: random.Random) -> str:
    how = chance.choice(["restarted", "crashed", "connections terminated"])
    if how == "connections terminated":
        terminate_connections()
    else:
        system.stop_postgres(signal.SIGQUIT if how == "crashed" else None)
        time.sleep(chance.uniform(0, 4))
        system.start_servers()
    return f"PostgreSQL {how}"


def _carrier(system: System, chance: random.Random) -> str:
    names = chance.sample(CARRIER_FAULTS, 2)
    faults = [{"name": name, "rate": chance.uniform(0.1, 0.5)} for name in names]
    system.script(SCRIPT | {"seed": chance.randrange(1000), "faults": faults})
    time.sleep(chance.uniform(1, 4))
    system.script(SCRIPT | {"seed": chance.randrange(1000)})
    return f"carrier: {' and '.join(names)}"


BREAKS: tuple[Break, ...] = (_kill, _kill, _freeze, _deploy, _redis, _postgres, _carrier, _carrier)
