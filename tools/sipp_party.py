"""sipp (Debian's sip-tester) as the far end of a SIP trunk, and what it heard. Its scenarios are in tools/sipp."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tools.local.ports import free_ports

SCENARIOS = Path(__file__).with_name("sipp")
STARTS_WITHIN = 60.0
_MESSAGE = re.compile(
    r"^-{20,} (?P<at>\S+ \S+)\n[^\n]*message (?P<way>received|sent)[^\n]*\n\n(?P<text>.*?)(?=^-{20,} |\Z)",
    re.DOTALL | re.MULTILINE,
)


class NoSipp(RuntimeError):
    """sipp is not installed, or does not start; the message says what to do."""


@dataclass(frozen=True)
class Ring:
    """An INVITE for a new call, and until when the far end had the call up, by the machine's clock.

    Attributes:
        ended: when sipp ended it or confirmed its end. Otherwise when the last message of it came or went.
        tag: the caller's. Another one with the same Call-ID is another ring.
        has_response: whether sipp has sent any message of the call.
    """

    call_id: str
    number: str
    began: float
    ended: float
    tag: str = ""
    has_response: bool = True


class Sipp:
    """The called side of calls, on a port of its own, until it is stopped."""

    def __init__(self, folder: Path, scenario: str, options: Sequence[str] = (), port: int | None = None) -> None:
        if shutil.which("sipp") is None:
            raise NoSipp("there is no sipp: apt-get install sip-tester")
        free, media = free_ports(2)
        self.port = port or free
        self.messages = folder / f"{scenario}-{self.port}-{time.monotonic_ns()}.log"
        command = ["sipp", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", "127.0.0.1", "-mi", "127.0.0.1"]
        command += ["-p", str(self.port), "-mp", str(media), "-nostdin"]
        command += ["-trace_msg", "-message_file", str(self.messages), *options]
        # sipp draws its screen to a terminal that is not there.
        nowhere, environment = subprocess.DEVNULL, os.environ | {"TERM": "dumb"}
        self.process = subprocess.Popen(command, cwd=SCENARIOS, stdout=nowhere, stderr=nowhere, env=environment)
        deadline = time.monotonic() + STARTS_WITHIN
        while not listens_on_udp(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NoSipp(f"sipp did not start with {scenario}.xml")
            time.sleep(0.02)

    def rings(self) -> list[Ring]:
        """Return a ring for each INVITE outside of a call: retransmissions and answers to challenges are none.

        An INVITE with the Call-ID of a call, and another tag of its caller, is a second ring.
        """
        text = self.messages.read_text(errors="replace") if self.messages.exists() else ""
        first: dict[tuple[str, str], tuple[str, float]] = {}
        last: dict[str, float] = {}
        over: dict[str, float] = {}
        responded: set[str] = set()
        for message in _MESSAGE.finditer(text):
            head = message["text"]
            call_id, at = _header(head, "Call-ID"), datetime.fromisoformat(message["at"]).timestamp()
            last[call_id] = at
            if message["way"] == "sent":
                responded.add(call_id)
            if _ends_call(message["way"], head):
                # What follows is said again: a sipp that stood still repeats its responses before it reads that they
                # have arrived, and gets another ACK for each. The channel of the call is free all the while.
                over.setdefault(call_id, at)
            if message["way"] == "received" and head.startswith("INVITE "):
                tag = _header(head, "From").partition("tag=")[2]
                first.setdefault((call_id, tag), ("+" + head.split("sip:", 1)[1].partition("@")[0].lstrip("+"), at))
        return [
            Ring(call_id, number, at, max(at, over.get(call_id, last[call_id])), tag, call_id in responded)
            for (call_id, tag), (number, at) in first.items()
        ]

    @property
    def is_up(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """End it at once. A call that is up gets no BYE."""
        self.process.kill()
        self.process.wait()


def double_rings(rings: Sequence[Ring]) -> int:
    """Return how many calls were rung for a second time."""
    return sum(count - 1 for count in Counter(ring.call_id for ring in rings).values())


def most_at_once(rings: Sequence[Ring]) -> int:
    """Return how many calls were up at once at the most."""
    changes = sorted([(ring.began, 1) for ring in rings] + [(ring.ended, -1) for ring in rings])
    up = most = 0
    for _, change in changes:
        up += change
        most = max(most, up)
    return most


def _ends_call(way: str, head: str) -> bool:
    """Tell whether a message ends a call for sipp: its last response to an INVITE, or a response to a BYE of either."""
    _, _, code = head.partition("SIP/2.0 ")
    if not head.startswith("SIP/2.0 ") or int(code[:3]) < 200 or code[:3] in {"401", "407"}:
        return False
    match _header(head, "CSeq").split()[-1:]:
        case ["INVITE"]:
            return way == "sent" and not code.startswith("2")
        case ["BYE"]:
            return True
    return False


def listens_on_udp(port: int) -> bool:
    """Tell whether some process of this machine has the port."""
    return f":{port:04X} " in Path("/proc/net/udp").read_text()


def _header(head: str, name: str) -> str:
    found = re.search(rf"(?im)^{name}: *(.*?)\r?$", head)
    return found[1] if found else ""
