"""Prompts: texts by a program, recordings by their addresses, each made once."""

import os
import shutil
import subprocess
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from campaigns.flow_interpreter import Play, Say
from core import clocks
from sipgateway import prompts, recordings, sounds
from sipgateway.prompts import Prompts
from sipgateway.recordings import CantBeMade, Kept, Version
from tests.sipgateway.sip_parties import wait_until
from tests.sipgateway.test_sounds import tone, wav

# Reads the text, counts that it was asked, and says so many samples as the text has characters.
ENGINE = """
import sys, wave
text = sys.stdin.read()
open({log!r}, "a").write(sys.argv[1] + " " + text + "\\n")
if text == "fail":
    sys.exit("no such voice")
out = wave.open(sys.stdout.buffer, "wb")
out.setparams((1, 2, 8000, 0, "NONE", ""))
out.writeframes(b"\\0\\0" * 160 * len(text))
out.close()
"""


@pytest.fixture
def engine(tmp_path, settings):
    """A speech engine. Returns the lines that it was asked for."""
    program, log = tmp_path / "engine.py", tmp_path / "asked"
    program.write_text(ENGINE.format(log=str(log)))
    log.touch()
    settings.SIP_SPEECH_COMMAND = f"{sys.executable} {program} {{voice}}"
    return lambda: log.read_text().splitlines()


@pytest.fixture
def made(tmp_path):
    made = Prompts(tmp_path / "prompts")
    yield made
    made.close()


def test_a_text_is_made_once_and_kept_on_disk(engine, made, tmp_path):
    assert len(made.sound_of(Say("Hello"), 1).result()) == 5 * 160
    made.sound_of(Say("Hello"), 1).result()
    again = Prompts(tmp_path / "prompts")
    assert len(again.sound_of(Say("Hello"), 1).result()) == 5 * 160
    again.close()
    assert engine() == ["en Hello"]


def test_a_voice_and_a_language_are_told_to_the_engine_and_make_another_sound(engine, made, settings):
    for say in (Say("a", "hi"), Say("a", "hi", "hi+f3"), Say("a"), Say("a", "en")):
        made.sound_of(say, 1).result()
    # The default language, named or not, is one.
    assert sorted(engine()) == ["en a", "hi a", "hi+f3 a"]


def test_a_text_that_can_t_be_said_is_silence_and_tried_again(engine, made):
    assert made.sound_of(Say("fail"), 1).result() == b""
    assert made.sound_of(Say("fail"), 1).result() == b""
    assert len(engine()) == 2


def test_an_engine_that_is_not_there_costs_the_prompt_alone(made, settings):
    settings.SIP_SPEECH_COMMAND = "no-such-program"
    assert made.sound_of(Say("Hello"), 1).result() == b""
    with pytest.raises(CantBeMade, match="no-such-program: FileNotFoundError"):
        prompts.spoken(Say("Hello"))


def test_a_disk_that_is_full_costs_no_prompt(engine, made, tmp_path):
    (tmp_path / "prompts").rmdir()
    assert len(made.sound_of(Say("Hello"), 1).result()) == 5 * 160


def test_a_fault_of_this_program_costs_the_prompt_and_is_tried_again(engine, made, settings):
    command, settings.SIP_SPEECH_COMMAND = settings.SIP_SPEECH_COMMAND, "engine {nonsense}"
    assert made.sound_of(Say("Hello"), 1).result() == b""
    settings.SIP_SPEECH_COMMAND = command
    assert len(made.sound_of(Say("Hello"), 1).result()) == 5 * 160
    assert not made._made.keys() - {prompts.name_of(Say("Hello"))}


def test_the_folder_keeps_what_was_said_last_up_to_a_size(engine, made, tmp_path, monkeypatch):
    monkeypatch.setattr(prompts, "LARGEST_FOLDER", 700)
    folder = tmp_path / "prompts"
    for age, text in enumerate(("cc", "bb", "aa")):
        made.sound_of(Say(text), 1).result()
        os.utime(folder / f"{prompts.name_of(Say(text))}.ulaw", (0, 1000 - age))
    # It is heard again by a gateway that starts, and so is the last one.
    again = Prompts(folder)
    again.sound_of(Say("aa"), 1).result()
    again.close()
    made.tidy()
    assert {file.stem for file in folder.iterdir()} == {prompts.name_of(Say(text)) for text in ("aa", "cc")}
    made.tidy()
    assert len(list(folder.iterdir())) == 2


def test_sounds_in_memory_are_bounded_by_their_size(engine, made, monkeypatch):
    monkeypatch.setattr(prompts, "BYTES_IN_MEMORY", 1000)
    for text in ("aaa", "bb", "cc", "d"):
        made.sound_of(Say(text), 1).result()
    assert list(made._made) == [prompts.name_of(Say(text)) for text in ("bb", "cc", "d")]


def test_a_small_file_with_hours_of_sound_is_cut_where_it_is_read(monkeypatch):
    """Or a file of customers' fills the memory of the gateway."""
    asked: list[list[str]] = []

    def run(command, *_):
        asked.append(command)
        return bytes(2)

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(prompts, "_output_of", run)
    prompts._converted(b"ID3", "")
    [ffmpeg] = asked
    # Nor may a playlist that is called a recording lead it anywhere else.
    assert ffmpeg[ffmpeg.index("-protocol_whitelist") + 1] == "pipe"
    assert ffmpeg[ffmpeg.index("-t") + 1] == "600"
    monkeypatch.setattr(shutil, "which", lambda name: name == "sox")
    prompts._converted(b"ID3", "")
    assert asked[1][-3:] == ["trim", "0", "600"]


@pytest.mark.skipif(shutil.which("sox") is None, reason="there is no sox: apt-get install sox")
def test_sox_reads_what_is_cut(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "sox" else None)
    monkeypatch.setattr(prompts, "LONGEST_SECONDS", 1)
    assert len(prompts._converted(wav(tone(8000 * 3)), "")) == 8000


def test_the_text_is_no_part_of_the_command(engine, made):
    text = "$(reboot) {voice} --help; \"'"
    made.sound_of(Say(text), 1).result()
    assert engine() == [f"en {text}"]


def test_all_that_a_flow_may_say_is_made_before_it_is_said(engine, made):
    gather = {"prompt": [{"say": "Press"}], "branches": {"1": [{"say": {"text": "Yes", "language": "hi"}}]}}
    document = {"steps": [{"say": "Hello"}, {"gather": gather | {"otherwise": [{"play": "http://a.example/b.wav"}]}}]}
    assert list(prompts.prompts_of(document)) == [
        Say("Hello"),
        Say("Press"),
        Say("Yes", "hi"),
        Play("http://a.example/b.wav"),
    ]


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="there is no espeak-ng: apt-get install espeak-ng")
def test_the_engine_of_the_settings_speaks(made):
    assert len(made.sound_of(Say("Good morning"), 1).result()) > 4000


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl: apt-get install curl")
def test_an_engine_behind_http_speaks(made, settings):
    asked = []

    class Engine(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            sound = wav(tone(8000))
            self.send_response(200)
            self.send_header("Content-Length", str(len(sound)))
            self.end_headers()
            self.wfile.write(sound)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        settings.SIP_SPEECH_COMMAND = f"curl -sS --fail --data-binary @- {address}/{{language}}/{{voice}}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        sound = made.sound_of(Say("Namaste @home", "hi-IN", "asha"), 1).result()
        server.shutdown()
        thread.join()
    assert (asked, len(sound)) == ([("/hi-in/asha", b"Namaste @home")], 4000)


class Web:
    """A web server with one recording, whose file and headers the test changes."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/hello.wav"
        self.file, self.headers, self.status = wav(tone(8000)), {"Cache-Control": "max-age=60", "ETag": '"1"'}, 200
        self.asked = []
        self.go_on = threading.Event()
        self.go_on.set()


@pytest.fixture
def web(settings):
    settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = True

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.asked.append(self.headers.get("If-None-Match"))
            served.go_on.wait(60)
            is_same = served.status == 200 and self.headers.get("If-None-Match") == served.headers.get("ETag", "")
            self.send_response(304 if is_same else served.status)
            for name, value in served.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0" if is_same else str(len(served.file)))
            self.end_headers()
            if not is_same:
                self.wfile.write(served.file)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Web(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.go_on.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def later(monkeypatch):
    """Moves the clock by seconds."""
    moved = [timedelta()]
    real = clocks.now
    monkeypatch.setattr(clocks, "now", lambda: real() + moved[0])

    def move(seconds):
        moved[0] += timedelta(seconds=seconds)

    return move


def heard_anew(made, url):
    """Asks for a recording, and again once the newer one that is asked for meanwhile has come."""
    heard = made.sound_of(Play(url), 1).result(60)
    name = prompts.name_of(Play(url))
    wait_until(lambda: not made._made[name].is_asked_for, "it was not fetched")
    return heard, made.sound_of(Play(url), 1).result(60)


def test_a_recording_is_fetched_once_while_it_is_fresh(made, web, later):
    web.file = wav(tone(16000), 16000)
    assert len(made.sound_of(Play(web.url), 1).result(60)) == 4000
    later(59)
    assert heard_anew(made, web.url)[1] == made.sound_of(Play(web.url), 2).result(60)
    assert web.asked == [None]


def test_a_recording_that_was_changed_is_heard_and_nobody_waits_for_it(made, web, later):
    old = made.sound_of(Play(web.url), 1).result(60)
    web.file, web.headers["ETag"] = wav(tone(4000)), '"2"'
    later(61)
    web.go_on.clear()
    assert made.sound_of(Play(web.url), 1).result(0) == old
    web.go_on.set()
    assert len(heard_anew(made, web.url)[1]) == 2000
    assert web.asked == [None, '"1"']


def test_a_recording_that_is_the_same_is_not_sent_again_and_is_fresh_again(made, web, later):
    old = made.sound_of(Play(web.url), 1).result(60)
    later(61)
    assert heard_anew(made, web.url) == (old, old)
    later(59)
    assert heard_anew(made, web.url) == (old, old)
    assert web.asked == [None, '"1"']


@pytest.mark.parametrize("change", [{"status": 404}, {"file": b"no sound", "headers": {"ETag": '"2"'}}])
def test_a_recording_is_played_on_while_no_newer_one_is_to_be_had(made, web, later, change):
    old = made.sound_of(Play(web.url), 1).result(60)
    for name, value in change.items():
        setattr(web, name, value)
    later(61)
    assert heard_anew(made, web.url) == (old, old)
    assert len(web.asked) == 2
    later(prompts.TRY_AGAIN + 1)
    assert heard_anew(made, web.url) == (old, old)
    assert len(web.asked) == 3


def test_a_gateway_that_starts_has_what_another_one_has_fetched_and_asks_whether_it_is_old(made, web, later, tmp_path):
    old = made.sound_of(Play(web.url), 1).result(60)
    again = Prompts(tmp_path / "prompts")
    assert again.sound_of(Play(web.url), 1).result(60) == old
    assert web.asked == [None]
    again.close()
    web.file, web.headers["ETag"] = wav(tone(4000)), '"2"'
    later(61)
    third = Prompts(tmp_path / "prompts")
    assert len(third.sound_of(Play(web.url), 1).result(60)) == 2000
    third.close()
    # What it has fetched is known to the first one, which asks nobody.
    assert len(heard_anew(made, web.url)[1]) == 2000
    assert web.asked == [None, '"1"']


def test_a_slow_server_of_one_account_holds_up_no_prompt_of_another(made, web, engine):
    web.go_on.clear()
    slow = [made.sound_of(Play(f"{web.url}?{at}"), 1) for at in range(10)]
    assert len(made.sound_of(Say("Hello"), 2).result(60)) == 5 * 160
    quick = made.sound_of(Play(web.url), 2)
    wait_until(lambda: len(web.asked) == 3, "they were not asked for")
    assert not quick.done()  # it was asked for, beside two of the others
    assert len(web.asked) == 3
    web.go_on.set()
    assert all(sound.result(60) for sound in [*slow, quick])


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg: apt-get install ffmpeg")
def test_an_mp3_is_played(made, web, tmp_path):
    source, mp3 = tmp_path / "tone.wav", tmp_path / "tone.mp3"
    source.write_bytes(wav(tone(16000, seconds=2), 16000))
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", source, "-codec:a", "libmp3lame", mp3], check=True)
    web.file = mp3.read_bytes()
    sound = made.sound_of(Play(web.url), 1).result(60)
    assert len(sound) == pytest.approx(2 * 8000, abs=1000)  # MP3 has frames of its own
    heard = sounds.samples_of_ulaw(sound[4000:12000])
    assert max(heard) == pytest.approx(12000, rel=0.1)
    turns = sum(one < 0 <= other for one, other in pairwise(heard))
    assert turns == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"Cache-Control": "public, max-age=600"}, 600),
        ({"Cache-Control": "max-age=600", "Age": "500"}, 100),
        ({"Cache-Control": "s-maxage=5"}, 300),
        ({"Cache-Control": "no-cache"}, 10),
        ({"Cache-Control": "max-age=0"}, 10),
        ({"Cache-Control": "max-age=31536000"}, 86_400),
        ({"Expires": "Sat, 28 Nov 2026 10:01:00 GMT", "Date": "Sat, 28 Nov 2026 10:00:00 GMT"}, 60),
        ({"Expires": "0", "Date": "Sat, 28 Nov 2026 10:00:00 GMT"}, 10),
    ],
)
def test_how_long_a_recording_is_fresh(headers, seconds):
    assert recordings.fresh_for(headers) == seconds


def test_a_file_that_is_not_a_kept_recording_is_none():
    kept = Kept(b"sound\n", Version(5.0, '"1"'))
    assert recordings.read(kept.written()) == kept
    for file in (b"", b"{}\nsound", b"[1]\nsound", b"sound", kept.written().partition(b"\n")[0]):
        assert recordings.read(file) is None


def test_a_recording_of_this_servers_own_network_is_not_fetched(settings, web):
    settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = False
    with pytest.raises(CantBeMade, match="not an address of the public internet"):
        recordings.fetch(web.url, 0.0)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/b.wav", "no address"])
def test_what_is_no_web_address_is_not_fetched(url):
    with pytest.raises(CantBeMade, match="http"):
        recordings.fetch(url, 0.0)
