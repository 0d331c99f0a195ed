"""What breaks a SIP gateway, or its trunk. A fault gets the numbers of its run, and strikes while they are dialed."""

import random
import time
from collections.abc import Callable, Sequence

from tools.chaos.sip_system import System

Fault = Callable[[System, random.Random, Sequence[str]], None]


def _at(point: str) -> Fault:
    def fault(system: System, chance: random.Random, numbers: Sequence[str]) -> None:
        system.failpoint.write_text(f"{point}:{chance.randrange(1, 12)}")
        system.wait_until(lambda: not system.failpoint.exists(), f"nobody came to {point}")

    return fault


def _while(status: str, *, of_leg: bool = False) -> Fault:
    def fault(system: System, chance: random.Random, numbers: Sequence[str]) -> None:
        statement = (
            "SELECT count(*) FROM sipgateway_sipcall "
            "WHERE status = %s AND (leg_of IS NOT NULL) = %s AND number = ANY(%s)"
        )
        system.wait_until(
            lambda: system.ask(statement, status, of_leg, list(numbers)) != [(0,)], f"no call is {status}"
        )
        time.sleep(chance.uniform(0, 0.5))
        system.kill_gateway()

    return fault


def _later(act: Callable[[System], None]) -> Fault:
    def fault(system: System, chance: random.Random, numbers: Sequence[str]) -> None:
        time.sleep(chance.uniform(1, 3))
        act(system)

    return fault


FAULTS: dict[str, tuple[str, Fault]] = {
    "12a": ("kill -9 of the SIP gateway before an INVITE", _at("sip-before-invite")),
    "12b": ("kill -9 of the SIP gateway after an INVITE", _at("sip-after-invite")),
    "12c": ("kill -9 of the SIP gateway while a phone rings", _while("ringing")),
    "12d": ("kill -9 of the SIP gateway while a person talks", _while("talking")),
    "12e": ("the SIP trunk silent for 12 s, and back", _later(lambda system: system.silence(12))),
    "12f": ("the SIP trunk stands still for 6 s", _later(lambda system: system.freeze(6))),
    "12g": ("kill -9 of the SIP gateway while another number rings", _while("ringing", of_leg=True)),
    "12h": ("kill -9 of the SIP gateway while callees talk to another number", _while("talking", of_leg=True)),
}
# Rows that leave the gateway alive.
OF_TRUNK = {"12e", "12f"}
# Rows whose callees are connected to other numbers. They start slowly, or no channel is left for those.
CONNECTING = {"12g", "12h"}
