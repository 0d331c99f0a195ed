"""Ports for servers that are about to start."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tools.local import ports
from tools.local.project import PROJECT

FEW = range(20_000, 20_060)
OTHER = f"""
from tools.local import ports
ports.PORTS = {FEW}
print(*ports.free_ports(20), flush=True)
input()
"""


@pytest.fixture
def others() -> Iterator[set[int]]:
    """The ports that another process has been given, on which nothing listens yet."""
    command = [sys.executable, "-c", OTHER]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield set(map(int, process.stdout.readline().split()))
        process.communicate("\n", timeout=60)


def test_a_port_is_given_to_one_process_alone(others: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PORTS", FEW)
    own = set(ports.free_ports(20))
    assert len(others) >= 10
    assert len(own) >= 10
    assert not own & others
    assert not own & set(ports.free_ports(20)), "nor twice to one"


def test_no_more_promises_are_kept_than_a_process_may_have_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "MOST_PROMISED", 2)
    monkeypatch.setattr(ports, "_promised", kept := type(ports._promised)())
    found = ports.free_ports(5)
    assert len(set(found)) == 5
    assert len(kept) == 2
    while kept:
        kept.popleft().close()
