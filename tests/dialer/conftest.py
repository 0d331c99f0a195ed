"""A caller ID over each carrier in turn, whose far end the test plays (`far_ends.py`)."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.models import CallerId
from dialer import event_signatures
from tests.conftest import Rig
from tests.dialer.far_ends import FAR_ENDS, FarCall, FarEnd, Reply
from tests.dialer.sip_far_end import SipFarEnd
from tests.factories import CallerIdFactory, FlowFactory, TrunkFactory

MENU = {"steps": [{"gather": {"digits": 4, "branches": {"1": [{"say": "Yes"}]}}}]}


@pytest.fixture(params=(*FAR_ENDS, SipFarEnd), ids=lambda kind: kind.carrier)
def far(request: pytest.FixtureRequest, client: Client) -> Iterator[FarEnd]:
    event_signatures.keys.forget()
    with request.param.made(client) as far_end:
        yield far_end


@pytest.fixture
def line(rig: Rig, far: FarEnd) -> CallerId:
    """A caller ID whose trunk leads to the far end."""
    trunk = TrunkFactory(**far.trunk())
    made: CallerId = CallerIdFactory(account=rig.account, trunk=trunk)
    return made


class Dialed:
    """A campaign over the far end."""

    def __init__(self, rig: Rig, far: FarEnd, line: CallerId) -> None:
        self._rig, self._far = rig, far
        flow = FlowFactory(account=rig.account, document=MENU)
        self._columns = {"caller_id": line, "flow": flow}

    def start(self, numbers: int = 1, **columns: Any) -> None:
        self._rig.campaign(numbers, **self._columns | columns)

    def one(self, reply: Reply = Reply.TAKEN, **columns: Any) -> FarCall | None:
        """Dial one number. Returns the far end's call, None where it took none."""
        self._far.reply = reply
        self.start(**columns)
        self._rig.tick()
        return self._far.calls[-1] if self._far.calls else None


@pytest.fixture
def dialed(rig: Rig, far: FarEnd, line: CallerId) -> Dialed:
    return Dialed(rig, far, line)
