"""A trunk that wants TLS, through Kamailio on loopback, as docs/carriers/sip.md says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.utils import timezone

from dialer.carriers.base import Accepted
from sipgateway import records
from tests.factories import TrunkFactory
from tests.sipgateway.sip_parties import GatewayUnderTest, Sipp, needs_sipp, wait_until
from tests.sipgateway.test_calls import Line, told
from tools.local.ports import free_ports
from tools.sipp_party import listens_on_udp

DOCUMENT = Path("docs/carriers/sip.md")
TLS_MODULE = Path("/usr/lib/x86_64-linux-gnu/kamailio/modules/tls.so")

pytestmark = [
    needs_sipp,
    pytest.mark.skipif(
        shutil.which("kamailio") is None or not TLS_MODULE.exists(),
        reason="Kamailio is not installed: apt-get install kamailio kamailio-tls-modules",
    ),
    pytest.mark.django_db(transaction=True),
]


def documented() -> str:
    """The configuration in the documentation."""
    found: str
    [found] = re.findall(r"```\n(#!KAMAILIO\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return found


class Border:
    """Kamailio, which leads what comes by one transport to an address by another one."""

    def __init__(self, folder: Path, udp: int, tls: int, trunk: str, certificate: Path) -> None:
        folder.mkdir()
        replaced = {
            "127.0.0.1:5062": f"127.0.0.1:{udp}",
            "203.0.113.5:5061": f"127.0.0.1:{tls}",
            "sip:trunk.example.com:5061;transport=tls": trunk,
            "/etc/ssl/certs/ca-certificates.crt": str(certificate),
        }
        text = documented()
        for old, new in replaced.items():
            assert old in text, old
            text = text.replace(old, new)
        key = f'modparam("tls", "certificate", "{certificate}")\nmodparam("tls", "private_key", "{certificate}")\n'
        (folder / "kamailio.cfg").write_text(text.replace("request_route", key + "request_route", 1))
        command = ["kamailio", "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "32", "-M", "4"]
        command += ["-P", str(folder / "pid"), "-w", str(folder), "-Y", str(folder)]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: listens_on_udp(udp), self.log.read_text)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def border(tmp_path):
    """A border, and what stands for the trunk's own: it takes TLS, and leads to sipp. Returns the port, and sipp."""
    certificate = tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*made, "-keyout", certificate, "-out", certificate], check=True, capture_output=True)
    party = Sipp(tmp_path, "answer", "-m", "1")
    own, other, their_udp, their_tls = free_ports(4)
    far = Border(tmp_path / "far", their_udp, their_tls, f"sip:127.0.0.1:{party.port}", certificate)
    near = Border(tmp_path / "near", own, other, f"sip:127.0.0.1:{their_tls};transport=tls", certificate)
    yield own, party, near, far
    near.end()
    far.end()
    party.stop()


def test_a_call_goes_through_a_border_that_speaks_tls(border, tmp_path):
    port, party, near, far = border
    gateway = GatewayUnderTest(tmp_path)
    gateway.start()
    try:
        wait_until(lambda: records.is_any_at_work(timezone.now()), gateway.log.read_text)
        trunk = TrunkFactory(carrier="sip", base_url=f"sip:127.0.0.1:{port};domain=trunk.example.com")
        line = Line(party, trunk)
        request = line.request()
        reply = line.place(request)[request.attempt_id]
        assert isinstance(reply, Accepted), f"{reply} {near.log.read_text()} {far.log.read_text()}"
        event = told(request.attempt_id)
        assert (event.status, event.reason) == ("completed", "the flow ended")
        assert party.exit_code() == 0
        assert "TLS" in party.messages.read_text()  # in a Via: what came went over it
    finally:
        gateway.end()
