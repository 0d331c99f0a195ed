"""What is said, as sound: texts by a speech engine, recordings by their addresses. Made once, kept on disk by a hash.

The engine is a program of its own, which reads a text and writes a WAV file. A recording that is older than its server
allows is played as it is, and a newer one asked for meanwhile: nobody waits for that.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from django.conf import settings

from campaigns.flow_interpreter import Play, Say
from core import clocks
from sipgateway import recordings, sounds
from sipgateway.fair_pool import FairPool, Job
from sipgateway.recordings import CantBeMade, Kept, Version
from sipgateway.sounds import NotSound

log = structlog.get_logger(__name__)

Prompt = Say | Play
T = TypeVar("T")

# Seconds for the engine to speak a text, and for a program to convert a recording.
SPEAKS_WITHIN = 30.0
CONVERTS_WITHIN = 20.0
# Of a prompt. A small file may hold days of silence.
LONGEST_SECONDS = 600
# Prompts in memory. Each minute of sound is half a megabyte.
IN_MEMORY = 500
BYTES_IN_MEMORY = 200_000_000
# Bytes on disk. A campaign may say something else to each of its callees.
LARGEST_FOLDER = 2_000_000_000
# Programs that speak and convert, and those of one account: they take a core each. Fetches wait for other servers.
MAKERS, MAKERS_OF_ACCOUNT = 3, 2
FETCHERS, FETCHERS_OF_ACCOUNT = 64, 2
# Seconds until a recording is asked for again that could not be fetched again.
TRY_AGAIN = 30.0


@dataclass
class _Made:
    """A prompt in memory. version, is_asked_for: of a recording: which one it is, and whether a newer one is sought."""

    job: Job[bytes]
    version: Version | None = None
    is_asked_for: bool = False

    def is_old(self) -> bool:
        """Tell whether it is time to ask for a newer recording."""
        return (
            self.version is not None and not self.is_asked_for and clocks.now().timestamp() >= self.version.fresh_until
        )


class Prompts:
    """Makes prompts, each once, in threads of its own, and for accounts by turns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._makers = FairPool("prompt", MAKERS, MAKERS_OF_ACCOUNT)
        self._fetchers = FairPool("prompt-fetch", FETCHERS, FETCHERS_OF_ACCOUNT)
        self._made: dict[str, _Made] = {}
        self._lock = threading.Lock()

    def sound_of(self, prompt: Prompt, account_id: int) -> "Future[bytes]":
        """Return the sound of a prompt: PCMU, none where it can't be made, which the log says."""
        name = name_of(prompt)
        with self._lock:
            made = self._made.pop(name, None)
            if made is None:
                self._forget_some()
                made = _Made(Job(partial(self._load_or_make, name, prompt, account_id)))
            self._made[name] = made  # the last ones asked for are kept
            is_old = made.is_old()
            made.is_asked_for |= is_old
        if not made.job.future.done():
            (self._makers if isinstance(prompt, Say) else self._fetchers).submit(account_id, made.job)
        elif is_old and isinstance(prompt, Play):
            self._fetchers.submit(account_id, Job(partial(self._fetch_anew, name, prompt, account_id)))
        return made.job.future

    def warm(self, document: Mapping[str, Any], account_id: int) -> None:
        """Make all that a flow may say, so that nobody hears silence."""
        for prompt in prompts_of(document):
            self.sound_of(prompt, account_id)

    def tidy(self) -> None:
        """Delete from disk what was not needed for longest, beyond the size that the folder may have."""
        files = []
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # gateways share the folder
                files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        total = 0
        for _, size, path in sorted(files, reverse=True):
            total += size
            if total > LARGEST_FOLDER:
                Path(path).unlink(missing_ok=True)

    def close(self) -> None:
        """Begin nothing more."""
        self._makers.close()
        self._fetchers.close()

    def _forget_some(self) -> None:
        """Make room in memory for another sound."""
        done = {name: len(_result_of(made)) for name, made in self._made.items() if made.job.future.done()}
        size = sum(done.values())
        while self._made and (len(self._made) >= IN_MEMORY or size > BYTES_IN_MEMORY):
            oldest = next(iter(self._made))
            del self._made[oldest]
            size -= done.get(oldest, 0)

    # Making --------------------------------------------------------------------------------------------------------

    def _load_or_make(self, name: str, prompt: Prompt, account_id: int) -> bytes:
        if isinstance(prompt, Say):
            return self._load_or_say(name, prompt)
        return self._load_or_fetch(name, prompt, account_id)

    def _load_or_say(self, name: str, say: Say) -> bytes:
        file = self._folder / f"{name}.ulaw"
        if sound := _read(file):
            return sound
        sound = (self._tried(name, say, lambda: spoken(say)) or b"")[: LONGEST_SECONDS * sounds.RATE]
        if sound:
            _keep(file, sound)
        return sound

    def _load_or_fetch(self, name: str, play: Play, account_id: int) -> bytes:
        kept = self._tried(name, play, lambda: self._current(name, play, account_id, None))
        if kept is None:
            return b""
        self._know(name, kept)
        return kept.sound

    def _fetch_anew(self, name: str, play: Play, account_id: int) -> None:
        """Replace a recording in memory where its server has another one by now."""
        with self._lock:
            made = self._made.get(name)
        if made is not None and made.version is not None:  # not forgotten since
            old = Kept(made.job.future.result(), made.version)
            if kept := self._tried(name, play, lambda: self._current(name, play, account_id, old)):
                self._know(name, kept)

    def _current(self, name: str, play: Play, account_id: int, old: Kept | None) -> Kept:
        """Return a recording as its server has it now, or as it was where that can't be asked. Raises CantBeMade."""
        kept = self._on_disk(name) or old  # another gateway may have fetched it
        if kept and clocks.now().timestamp() < kept.version.fresh_until:
            return kept
        try:
            kept = self._fetched(play.url, account_id, kept)
        except CantBeMade as error:
            if kept is None:
                raise
            log.warning("prompt_not_fetched_anew", error=str(error))
            return replace(kept, version=replace(kept.version, fresh_until=clocks.now().timestamp() + TRY_AGAIN))
        if kept.sound:
            _keep(self._folder / f"{name}.play", kept.written())
        return kept

    def _fetched(self, url: str, account_id: int, old: Kept | None) -> Kept:
        file, version = recordings.fetch(url, clocks.now().timestamp(), old.version if old else None)
        if file is None:
            assert old is not None  # nothing else can be unchanged
            return replace(old, version=version)
        made = Job(partial(sound_of_file, file))
        self._makers.submit(account_id, made)
        return Kept(made.future.result()[: LONGEST_SECONDS * sounds.RATE], version)

    def _know(self, name: str, kept: Kept) -> None:
        """Play this recording from now on."""
        job: Job[bytes] = Job(bytes)
        job.future.set_result(kept.sound)
        with self._lock:
            if made := self._made.get(name):
                made.version, made.is_asked_for = kept.version, False
                if made.job.future.done():
                    made.job = job

    def _on_disk(self, name: str) -> Kept | None:
        file = _read(self._folder / f"{name}.play")
        return recordings.read(file) if file else None

    def _tried(self, name: str, prompt: Prompt, make: Callable[[], T]) -> T | None:
        """Return what was made; None where that failed, and the next call tries again."""
        kind = type(prompt).__name__.lower()
        try:
            return make()
        except CantBeMade as error:
            log.warning("prompt_not_made", kind=kind, error=str(error))
        except Exception:
            log.exception("prompt_not_made", kind=kind)
        with self._lock:
            self._made.pop(name, None)
        return None


def _result_of(made: _Made) -> bytes:
    future = made.job.future
    return b"" if future.cancelled() or future.exception() else future.result()


def _read(file: Path) -> bytes:
    """Return what is on disk; nothing where there is no such file."""
    try:
        content = file.read_bytes()
        os.utime(file)  # the last ones asked for are kept
    except OSError:
        return b""
    return content


def _keep(file: Path, sound: bytes) -> None:
    """Write a sound to disk. A disk that is full costs time, not the prompt."""
    unfinished = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        unfinished.write_bytes(sound)
        unfinished.replace(file)
    except OSError as error:
        log.warning("prompt_not_kept", error=str(error))
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def name_of(prompt: Prompt) -> str:
    """Return the name under which a prompt is kept: all that its sound depends on."""
    if isinstance(prompt, Play):
        parts = ["play", prompt.url]
    else:
        language = prompt.language or settings.SIP_SPEECH_LANGUAGE
        parts = ["say", settings.SIP_SPEECH_COMMAND, language, prompt.voice, prompt.text]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def prompts_of(document: Any) -> Iterator[Prompt]:
    """Return all that a flow may say, wherever in it."""
    match document:
        case {"say": str(text)}:
            yield Say(text)
        case {"say": {"text": str()} as said}:
            yield Say(**said)
        case {"play": str(url)}:
            yield Play(url)
        case Mapping():
            for value in document.values():
                yield from prompts_of(value)
        case list():
            for value in document:
                yield from prompts_of(value)


def spoken(say: Say) -> bytes:
    """Return a text as sound. Raises CantBeMade."""
    language = say.language or settings.SIP_SPEECH_LANGUAGE
    words = {"language": language.lower(), "voice": say.voice or language.lower()}
    command = [part.format_map(words) for part in shlex.split(settings.SIP_SPEECH_COMMAND)]
    wav = _output_of(command, say.text.encode(), SPEAKS_WITHIN)
    try:
        return sounds.ulaw_of_wav(wav)
    except NotSound as error:
        raise CantBeMade(f"{command[0]}: {error}") from error


def sound_of_file(file: bytes) -> bytes:
    """Return a sound file as sound. Raises CantBeMade."""
    try:
        return sounds.ulaw_of_wav(file)
    except NotSound as reason:
        return _converted(file, str(reason))


def _converted(file: bytes, reason: str) -> bytes:
    """Return any other sound file (MP3, or WAV in a rarer form) as sound, by ffmpeg or sox."""
    longest = str(LONGEST_SECONDS)
    raw = ["-t", "raw", "-e", "signed", "-b", "16", "-L", "-r", str(sounds.RATE), "-c", "1", "-", "trim", "0", longest]
    # What the file itself may name is not opened.
    read = ["ffmpeg", "-loglevel", "error", "-protocol_whitelist", "pipe", "-i", "pipe:0"]
    commands: Iterable[list[str]] = (
        [*read, "-t", longest, "-f", "s16le", "-ac", "1", "-ar", str(sounds.RATE), "pipe:1"],
        ["sox", "-t", "wav" if file[:4] == b"RIFF" else "mp3", "-", *raw],
    )
    for command in commands:
        if shutil.which(command[0]):
            return sounds.ulaw_of_raw(_output_of(command, file, CONVERTS_WITHIN))
    raise CantBeMade(f"{reason}; to play other files, install ffmpeg or sox")


def _output_of(command: list[str], given: bytes, within: float) -> bytes:
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=within, check=True)
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip().splitlines()
        raise CantBeMade(f"{command[0]} failed: {words[-1][:200] if words else error.returncode}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CantBeMade(f"{command[0]}: {type(error).__name__}") from error
    if not done.stdout:
        raise CantBeMade(f"{command[0]} wrote nothing")
    return done.stdout
