"""What tests of the SIP gateway share."""

from types import SimpleNamespace

import pytest

from sipgateway import beats


@pytest.fixture
def uptime(monkeypatch):
    """Of the machine, in seconds: no setting of a clock changes it."""
    own = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(beats, "time", SimpleNamespace(monotonic=lambda: own.seconds))
    return own
