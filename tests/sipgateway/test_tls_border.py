"""A trunk that wants TLS, and one that wants SRTP too, through Kamailio on loopback, as docs/carriers/sip.md says."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from django.utils import timezone

from dialer.carriers.base import Accepted
from sipgateway import beats
from sipgateway.models import SipCall
from tests.factories import TrunkFactory
from tests.sipgateway import speech_engine
from tests.sipgateway.sip_parties import GatewayUnderTest, Sipp, needs_sipp, wait_until
from tests.sipgateway.test_baresip import FRAME, NUMBER, VOICE, Baresip, needs_baresip, quantized, wait_a_moment_for
from tests.sipgateway.test_calls import Line, told
from tools.local.ports import accepts_connections, free_ports
from tools.sipp_party import listens_on_udp

DOCUMENT = Path("docs/carriers/sip.md")
TLS_MODULE = Path("/usr/lib/x86_64-linux-gnu/kamailio/modules/tls.so")
# A busy machine makes a process wait for seconds: the trunk has as long as the settings allow.
PATIENCE = {"SIP_SILENCE_SECONDS": "19", "CARRIER_TIMEOUT_SECONDS": "20"}

pytestmark = [
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
    """Kamailio, which leads what comes by one transport to an address by another one.

    udp, stream: the ports where it listens. changes: more of what the documentation has, and what stands for it.
    """

    def __init__(self, folder: Path, trunk: str, certificate: Path, changes: Mapping[str, str] | None = None) -> None:
        folder.mkdir()
        self.udp, self.stream = free_ports(2)
        replaced = {
            "127.0.0.1:5062": f"127.0.0.1:{self.udp}",
            "203.0.113.5:5061": f"127.0.0.1:{self.stream}",
            "sip:trunk.example.com:5061;transport=tls": trunk,
            "/etc/ssl/certs/ca-certificates.crt": str(certificate),
            **(changes or {}),
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
        wait_until(self.listens, self.log.read_text)

    def listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return listens_on_udp(self.udp) and accepts_connections("127.0.0.1", self.stream)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine, with its key."""
    path = tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*made, "-keyout", path, "-out", path], check=True, capture_output=True)
    return path


@pytest.fixture
def borders(tmp_path: Path) -> Iterator[list[Border]]:
    """Those that a test starts."""
    started: list[Border] = []
    yield started
    for border in started:
        border.end()


@pytest.fixture(scope="module")
def gateway_of_the_module(django_db_setup, tmp_path_factory):
    made = GatewayUnderTest(tmp_path_factory.mktemp("gateway"), **PATIENCE)
    yield made
    made.end()


@pytest.fixture
def gateway(gateway_of_the_module, transactional_db, settings):
    """At work. A test before has emptied its row."""
    settings.CARRIER_TIMEOUT_SECONDS = 60
    gateway_of_the_module.start()
    wait_until(lambda: beats.is_any_at_work(timezone.now()), gateway_of_the_module.log.read_text)
    return gateway_of_the_module


def line_over(border: Border, party: object) -> Line:
    address = f"sip:127.0.0.1:{border.udp};domain=trunk.example.com"
    return Line(party, TrunkFactory(carrier="sip", base_url=address))  # type: ignore[arg-type]


@needs_sipp
@pytest.mark.parametrize("transport", ["tls", "tcp"])
def test_a_call_goes_through_a_border_that_speaks_tls_or_tcp(gateway, certificate, borders, tmp_path, transport):
    party = Sipp(tmp_path, "answer", "-m", "1")
    changes = {"listen=tls:": f"listen={transport}:"}
    try:
        # It stands for the trunk's own, and leads the other way.
        turned = changes | {'$proto == "udp"': '$proto != "udp"'}
        far = Border(tmp_path / "far", f"sip:127.0.0.1:{party.port}", certificate, turned)
        borders.append(far)
        near = Border(tmp_path / "near", f"sip:127.0.0.1:{far.stream};transport={transport}", certificate, changes)
        borders.append(near)
        request = (line := line_over(near, party)).request(seconds=60)
        reply = line.place(request)[request.attempt_id]
        assert isinstance(reply, Accepted), f"{reply} {near.log.read_text()} {far.log.read_text()}"
        event = told(request.attempt_id)
        assert (event.status, event.reason) == ("completed", "the flow ended")
        assert party.exit_code() == 0
        assert f"SIP/2.0/{transport.upper()} " in party.messages.read_text()  # in a Via: what came went over it
    finally:
        party.stop()


# Sound through the border ---------------------------------------------------------------------------------------------


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[int]:
    """Run rtpengine, without its module of the kernel. Returns the port on which Kamailio tells it of calls."""
    [port] = free_ports(1)
    command = ["rtpengine", "--foreground", "--log-stderr", "--log-level=6", "--table=-1", "--interface=127.0.0.1"]
    command += [f"--listen-ng=127.0.0.1:{port}", f"--pidfile={tmp_path / 'rtpengine.pid'}"]
    # Ports that neither `free_ports` nor the system gives to others.
    command += ["--port-min=32100", "--port-max=32700"]
    log = tmp_path / "rtpengine.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_until(lambda: process.poll() is not None or listens_on_udp(port), log.read_text)
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def phone(certificate: Path) -> Iterator[Baresip]:
    # baresip takes paths of up to 127 characters, and keeps nothing where that of its file would be longer.
    with tempfile.TemporaryDirectory(prefix="baresip-") as folder:
        made = Baresip(Path(folder), speech_engine.samples_of(VOICE) * 6, certificate)  # it hangs up at its end
        yield made
        made.end()


THANKS = "Thank you very much for your call. Good bye."


def share_heard(said: bytes, heard: bytes) -> float:
    """Return how much of a sound was heard, packet by packet. When each came is for a quieter machine to judge."""
    packets = [said[at : at + FRAME] for at in range(0, len(said) - FRAME, FRAME)]
    return sum(packet in heard for packet in packets) / len(packets)


@needs_baresip
@pytest.mark.skipif(
    shutil.which("rtpengine") is None, reason="rtpengine is not installed: apt-get install rtpengine-daemon"
)
def test_sound_and_keys_go_through_a_border_that_encrypts_them(gateway, certificate, borders, sound, phone, tmp_path):
    changes = {"##!define": "#!define", "udp:127.0.0.1:2223": f"udp:127.0.0.1:{sound}"}
    border = Border(tmp_path / "border", f"sip:127.0.0.1:{phone.tls_port};transport=tls", certificate, changes)
    borders.append(border)
    ask = {"prompt": [{"say": "Press"}], "timeout": 1, "attempts": 10, "branches": {"5": [{"say": THANKS}]}}
    line = line_over(border, phone)
    request = line.request(NUMBER, seconds=60, steps=[{"say": "Good morning"}, {"gather": ask}])
    reply = line.place(request)[request.attempt_id]
    assert isinstance(reply, Accepted), f"{reply} {border.log.read_text()}"
    keys = SipCall.objects.filter(pk=request.attempt_id).exclude(digits="")
    over = SipCall.objects.filter(pk=request.attempt_id, status=SipCall.Status.ENDED)
    while not keys.exists() and not over.exists():  # a key before the question says nothing
        phone.press("5")
        wait_a_moment_for(keys.exists)
    event = told(request.attempt_id)
    assert (event.status, event.reason, event.digits) == ("completed", "the flow ended", "5"), border.log.read_text()
    wait_until(lambda: b"terminated" in (phone.folder / "baresip.log").read_bytes(), "it did not hear of the end")
    phone.end()
    # A phone hears nothing before the ACK, whose way is longer than the sound's: the first prompt is not compared.
    assert share_heard(quantized(speech_engine.samples_of(THANKS)), phone.heard()) > 0.3
