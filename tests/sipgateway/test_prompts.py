"""Prompts: texts by a program, recordings by their addresses, each made once."""

import os
import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from campaigns.flow_interpreter import Play, Say
from sipgateway import prompts
from sipgateway.prompts import CantBeMade, Prompts
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
    assert len(made.sound_of(Say("Hello")).result()) == 5 * 160
    made.sound_of(Say("Hello")).result()
    again = Prompts(tmp_path / "prompts")
    assert len(again.sound_of(Say("Hello")).result()) == 5 * 160
    again.close()
    assert engine() == ["en Hello"]


def test_a_voice_and_a_language_are_told_to_the_engine_and_make_another_sound(engine, made, settings):
    for say in (Say("a", "hi"), Say("a", "hi", "hi+f3"), Say("a"), Say("a", "en")):
        made.sound_of(say).result()
    # The default language, named or not, is one.
    assert sorted(engine()) == ["en a", "hi a", "hi+f3 a"]


def test_a_text_that_can_t_be_said_is_silence_and_tried_again(engine, made):
    assert made.sound_of(Say("fail")).result() == b""
    assert made.sound_of(Say("fail")).result() == b""
    assert len(engine()) == 2


def test_an_engine_that_is_not_there_costs_the_prompt_alone(made, settings):
    settings.SIP_SPEECH_COMMAND = "no-such-program"
    assert made.sound_of(Say("Hello")).result() == b""
    with pytest.raises(CantBeMade, match="no-such-program: FileNotFoundError"):
        prompts.spoken(Say("Hello"))


def test_a_disk_that_is_full_costs_no_prompt(engine, made, tmp_path):
    (tmp_path / "prompts").rmdir()
    assert len(made.sound_of(Say("Hello")).result()) == 5 * 160


def test_a_fault_of_this_program_costs_the_prompt_and_is_tried_again(engine, made, settings):
    command, settings.SIP_SPEECH_COMMAND = settings.SIP_SPEECH_COMMAND, "engine {nonsense}"
    assert made.sound_of(Say("Hello")).result() == b""
    settings.SIP_SPEECH_COMMAND = command
    assert len(made.sound_of(Say("Hello")).result()) == 5 * 160
    assert not made._made.keys() - {prompts.name_of(Say("Hello"))}


def test_the_folder_keeps_what_was_said_last_up_to_a_size(engine, made, tmp_path, monkeypatch):
    monkeypatch.setattr(prompts, "LARGEST_FOLDER", 700)
    folder = tmp_path / "prompts"
    for age, text in enumerate(("cc", "bb", "aa")):
        made.sound_of(Say(text)).result()
        os.utime(folder / f"{prompts.name_of(Say(text))}.ulaw", (0, 1000 - age))
    # It is heard again by a gateway that starts, and so is the last one.
    again = Prompts(folder)
    again.sound_of(Say("aa")).result()
    again.close()
    made.tidy()
    assert {file.stem for file in folder.iterdir()} == {prompts.name_of(Say(text)) for text in ("aa", "cc")}
    made.tidy()
    assert len(list(folder.iterdir())) == 2


def test_sounds_in_memory_are_bounded_by_their_size(engine, made, monkeypatch):
    monkeypatch.setattr(prompts, "BYTES_IN_MEMORY", 1000)
    for text in ("aaa", "bb", "cc", "d"):
        made.sound_of(Say(text)).result()
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
    made.sound_of(Say(text)).result()
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
    assert len(made.sound_of(Say("Good morning")).result()) > 4000


@pytest.fixture
def http_files(tmp_path):
    """Serves files. Returns a function that stores one and returns its address."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def store(name, content):
            (folder / name).write_bytes(content)
            return f"http://127.0.0.1:{server.server_port}/{name}"

        yield store
        server.shutdown()
        thread.join()


def test_a_recording_is_fetched_once(made, settings, tmp_path, http_files):
    settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = True
    url = http_files("hello.wav", wav(tone(16000), 16000))
    assert len(made.sound_of(Play(url)).result()) == 4000
    assert len(made.sound_of(Play(url)).result()) == 4000


def test_a_recording_of_this_servers_own_network_is_not_fetched(settings, http_files):
    settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = False
    url = http_files("hello.wav", wav(tone(8000)))
    with pytest.raises(CantBeMade, match="not an address of the public internet"):
        prompts.recorded(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/b.wav", "no address"])
def test_what_is_no_web_address_is_not_fetched(url):
    with pytest.raises(CantBeMade, match="http"):
        prompts.recorded(url)
