"""A gateway process on the tests' database, and sipp (Debian's sip-tester) as the trunk that it calls."""

import hashlib
import os
import re
import shutil
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from tools import sipp_party
from tools.local import process_groups
from tools.local.ports import free_ports
from tools.local.project import read_procfile, with_programs

needs_sipp = pytest.mark.skipif(
    shutil.which("sipp") is None, reason="sipp is not installed: apt-get install sip-tester"
)


class GatewayUnderTest:
    """`manage.py sipgateway`, as the Procfile starts it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.failpoint = folder / "failpoint"
        self.log = folder / "gateway.log"
        self.running: process_groups.Process | None = None
        [port] = free_ports(1)
        speech = f"{sys.executable} {Path(__file__).with_name('speech_engine.py')}"
        own = {"SIP_PORT": str(port), "FAILPOINT_FILE": str(self.failpoint), "SIP_SPEECH_COMMAND": speech}
        self.own = own | settings

    def start(self) -> None:
        if self.running is not None and self.running.poll() is None:
            return
        database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        environment = with_programs(os.environ | self.own | {"DATABASE_URL": urlunsplit(database)})
        with self.log.open("a") as log:
            self.running = process_groups.spawn(read_procfile()["sipgateway"], environment, stdout=log, stderr=log)

    def end(self) -> None:
        if self.running is not None:
            process_groups.collect(self.running)


class Sipp(sipp_party.Sipp):
    """sipp, with the password of the scenarios that ask for one."""

    def __init__(self, folder: Path, scenario: str, *options: str) -> None:
        [port] = free_ports(1)
        super().__init__(folder, scenario, ["-key", "digest", _digest(port), *options], port)

    def call_ids(self) -> list[str]:
        """The Call-ID of each ring."""
        return [ring.call_id for ring in self.rings()]

    def invite(self) -> dict[str, str]:
        """The user and host of each header of the first INVITE that name some, and of its own address."""
        [head, *_] = re.findall(r"^INVITE .*?\r?\n\r?\n", self.messages.read_text(), re.DOTALL | re.MULTILINE)
        named = re.findall(r"^([\w-]+): [^\r\n]*?sip:([^\s;:>]+)", head, re.MULTILINE)
        [address] = re.findall(r"^INVITE sip:([^\s;:]+)", head)
        return {**dict(named), "Request-URI": address}

    def exit_code(self) -> int:
        """The exit code of a run with `-m`: 0 where each step of the scenario happened."""
        return self.process.wait(60)


def _digest(port: int) -> str:
    """What answers the challenge of the 407 scenario, which can't check a password: user campaign, s3cret."""
    nonce = "47ebe028cda119c35d4877b383027d28da013815"
    uri = f"sip:+919810000000@127.0.0.1:{port}"
    return _md5(f"{_md5('campaign:trunk.test:s3cret')}:{nonce}:{_md5(f'INVITE:{uri}')}")


class Recorder:
    """A port that hears RTP, and keeps what came."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.packets: list[bytes] = []
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def _hear(self) -> None:
        while packet := self._socket.recv(2048):
            self.packets.append(packet)

    def heard(self) -> list[tuple[int, int, int, bytes]]:
        """Payload type, sequence number, timestamp and sound of each packet."""
        return [
            (kind & 0x7F, sequence, stamp, packet[12:])
            for packet in self.packets
            for _, kind, sequence, stamp in [struct.unpack("!BBHI", packet[:8])]
        ]

    def end(self) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)
    return found
