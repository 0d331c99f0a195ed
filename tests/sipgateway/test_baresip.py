"""Calls to baresip, a phone that nobody here has written: what it hears, presses, and what is recorded of it."""

import array
import json
import shutil
import socket
import subprocess
import tempfile
import time
import wave
from pathlib import Path

import pytest
from django.utils import timezone

from dialer.models import Recording
from sipgateway import beats, sounds
from sipgateway.models import SipCall
from tests.factories import TrunkFactory
from tests.sipgateway import speech_engine
from tests.sipgateway.sip_parties import GatewayUnderTest, wait_until
from tests.sipgateway.test_calls import Line, told
from tests.sipgateway.test_sounds import wav
from tools.local.ports import free_ports, is_free
from tools.sipp_party import listens_on_udp

MODULES = Path("/usr/lib/baresip/modules")
NUMBER = "+919810000000"
# Bytes of 20 ms of 16-bit samples.
FRAME = 320
# What the phone says: noise of ten seconds, like the prompts.
VOICE = "v" * 500

needs_baresip = pytest.mark.skipif(
    shutil.which("baresip") is None or not (MODULES / "sndfile.so").exists(),
    reason="baresip is not installed: apt-get install baresip-core",
)
pytestmark = [needs_baresip, pytest.mark.django_db(transaction=True)]

CONFIG = """
sip_listen 127.0.0.1:{port}
audio_source aufile,{voice}
audio_alert aufile,{voice}
module_path {modules}
module g711.so
module aufile.so
module sndfile.so
module_app account.so
module_app menu.so
module ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {folder}
"""
# It takes TLS on the next port, and no call without SRTP.
SECURE = """
module srtp.so
sip_certificate {certificate}
"""


class Baresip:
    """A phone that answers by itself, speaks all the time, and keeps what it hears.

    certificate: with its key, of a phone that takes calls by TLS and SRTP alone.
    """

    def __init__(self, folder: Path, voice: list[int], certificate: Path | None = None) -> None:
        self._control, *free = free_ports(20)
        self.port = next(port for port in free if is_free("127.0.0.1", port + 1))
        self.folder, self.voice = folder, voice
        (folder / "voice.wav").write_bytes(wav(voice))
        config = CONFIG.format(
            port=self.port, control=self._control, voice=folder / "voice.wav", modules=MODULES, folder=folder
        )
        address, options = f"127.0.0.1:{self.port}", ""
        if certificate:
            config += SECURE.format(certificate=certificate)
            self.tls_port = self.port + 1
            address, options = f"127.0.0.1:{self.tls_port};transport=tls", ";mediaenc=srtp-mand"
        (folder / "config").write_text(config)
        (folder / "accounts").write_text(f"<sip:{NUMBER}@{address}>;regint=0;answermode=auto{options}\n")
        with (folder / "baresip.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["baresip", "-f", str(folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: listens_on_udp(self.port), "baresip did not start")

    def press(self, key: str) -> None:
        command = json.dumps({"command": "sndcode", "params": key}).encode()
        with socket.create_connection(("127.0.0.1", self._control), 10) as control:
            control.sendall(b"%d:%s," % (len(command), command))
            control.recv(1000)

    def heard(self) -> bytes:
        """What came, as 16-bit samples. Only when the call is over it is complete."""
        dump = self._dump()
        assert dump, (self.folder / "baresip.log").read_text()[-3000:]
        with wave.open(str(dump)) as reader:
            samples: bytes = reader.readframes(reader.getnframes())
        return samples

    def _dump(self) -> Path | None:
        return next(self.folder.glob("dump-*-dec.wav"), None)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def longest_gap(said: bytes, heard: bytes) -> float:
    """Return the seconds of the longest piece of a sound that was not heard in its order, and in time."""
    at = heard.find(said[:FRAME])
    assert at >= 0, "its beginning was not heard"
    gap = 0
    missing = 0
    for start in range(0, len(said) - FRAME, FRAME):
        found = heard.find(said[start : start + FRAME], at, at + 5 * FRAME)
        missing = missing + 1 if found < 0 else 0
        gap = max(gap, missing, (found - at) // FRAME)
        at = found + FRAME if found >= 0 else at
    return gap * 0.02


def wait_a_moment_for(condition) -> None:
    """Wait until it is so, for two seconds at the most."""
    until = time.monotonic() + 2
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)


def channels_of(storage: Path, recording: Recording) -> list[bytes]:
    """Return the 16-bit samples of each channel of a recording."""
    with wave.open(str(storage / recording.file)) as reader:
        channels, samples = reader.getnchannels(), array.array("h", reader.readframes(reader.getnframes()))
    return [samples[at::channels].tobytes() for at in range(channels)]


def quantized(samples: list[int]) -> bytes:
    """What is left of samples on their way as PCMU."""
    return sounds.linear_of_ulaw(sounds.ulaw_of_samples(array.array("h", samples)))


@pytest.fixture
def storage(tmp_path):
    """The folder in which the gateway keeps recordings."""
    return tmp_path / "recordings"


@pytest.fixture
def phone():
    # baresip takes paths of up to 127 characters, and keeps nothing where that of its file would be longer.
    with tempfile.TemporaryDirectory(prefix="baresip-") as folder:
        made = Baresip(Path(folder), speech_engine.samples_of(VOICE))
        yield made
        made.end()


@pytest.fixture
def gateway(tmp_path, storage):
    options = json.dumps({"location": str(storage)})
    backend = "django.core.files.storage.FileSystemStorage"
    made = GatewayUnderTest(tmp_path, RECORDINGS_STORAGE=backend, RECORDINGS_STORAGE_OPTIONS=options)
    made.start()
    wait_until(lambda: beats.is_any_at_work(timezone.now()), made.log.read_text)
    yield made
    made.end()


def test_a_phone_hears_the_prompts_presses_a_key_and_is_recorded(phone, gateway, storage):
    line = Line(phone, TrunkFactory(carrier="sip", base_url=f"sip:127.0.0.1:{phone.port}"))
    ask = {"prompt": [{"say": "Press"}], "timeout": 1, "attempts": 10, "branches": {"5": [{"say": "Thank you"}]}}
    steps = [{"record_call": True}, {"say": "Good morning"}, {"gather": ask}, {"record": {"seconds": 1}}]
    request = line.request(NUMBER, steps=steps)
    line.place(request)
    keys = SipCall.objects.filter(pk=request.attempt_id).exclude(digits="")
    while not keys.exists():  # a key before the question says nothing
        phone.press("5")
        wait_a_moment_for(keys.exists)
    event = told(request.attempt_id)
    assert (event.status, event.reason, event.digits) == ("completed", "the flow ended", "5")
    wait_until(lambda: b"terminated" in (phone.folder / "baresip.log").read_bytes(), "it did not hear of the end")
    phone.end()
    for text in ("Good morning", "Thank you"):
        assert longest_gap(quantized(speech_engine.samples_of(text)), phone.heard()) <= 0.06, text
    wait_until(lambda: Recording.objects.count() == 2, gateway.log.read_text)
    assert set(Recording.objects.values_list("attempt_id", "is_cut")) == {(request.attempt_id, False)}
    [recorded] = channels_of(storage, Recording.objects.get(place="3.1"))
    assert len(recorded) == 16_000
    spoken = quantized(phone.voice)
    # A frame from its middle tells where in the voice it began; all around it is there, too.
    middle = spoken.find(recorded[8000:8320])
    assert middle >= 0
    assert longest_gap(spoken[middle - 4000 : middle + 6000], recorded) <= 0.06
    # The whole call: on the left what the phone said, on the right what it heard.
    left, right = channels_of(storage, Recording.objects.get(place="0.1"))
    assert longest_gap(spoken[middle - 4000 : middle + 6000], left) <= 0.06
    for text in ("Good morning", "Thank you"):
        assert longest_gap(quantized(speech_engine.samples_of(text)), right) == 0, text
