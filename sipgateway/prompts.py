"""What is said, as sound: texts by a speech engine, recordings by their addresses. Made once, kept on disk by a hash.

The engine is a program of its own, which reads a text and writes a WAV file. Recordings are fetched under the rules of
webhooks' addresses, as the addresses come from customers: nothing of a private network is read aloud to a stranger.
"""

import asyncio
import hashlib
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog
from django.conf import settings

from campaigns.flow_interpreter import Play, Say
from sipgateway import sounds
from sipgateway.sounds import NotSound
from webhooks import addresses

log = structlog.get_logger(__name__)

Prompt = Say | Play

# Seconds for the engine to speak a text, and to fetch and convert a recording.
SPEAKS_WITHIN = 30.0
FETCHES_WITHIN = 20.0
LARGEST_FILE = 20_000_000
# Of a prompt. A small file may hold days of silence.
LONGEST_SECONDS = 600
# Prompts in memory. Each minute of sound is half a megabyte.
IN_MEMORY = 500
BYTES_IN_MEMORY = 200_000_000
# Bytes on disk. A campaign may say something else to each of its callees.
LARGEST_FOLDER = 2_000_000_000
WORKERS = 2


class CantBeMade(Exception):
    """The prompt can't be made into sound; the message says why."""


class Prompts:
    """Makes prompts, each once, in threads of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._makers = ThreadPoolExecutor(WORKERS, "prompts")
        self._made: dict[str, Future[bytes]] = {}
        self._lock = threading.Lock()

    def sound_of(self, prompt: Prompt) -> "Future[bytes]":
        """Return the sound of a prompt: PCMU, none where it can't be made, which the log says."""
        name = name_of(prompt)
        with self._lock:
            if name in self._made:
                self._made[name] = self._made.pop(name)  # the last ones asked for are kept
                return self._made[name]
            self._forget_some()
            self._made[name] = self._makers.submit(self._load_or_make, name, prompt)
            return self._made[name]

    def warm(self, document: Mapping[str, Any]) -> None:
        """Make all that a flow may say, so that nobody hears silence."""
        for prompt in prompts_of(document):
            self.sound_of(prompt)

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
        self._makers.shutdown(wait=False, cancel_futures=True)

    def _forget_some(self) -> None:
        """Make room in memory for another sound."""
        done = [made for made in self._made.values() if made.done() and not made.cancelled()]
        size = sum(len(made.result()) for made in done)
        while self._made and (len(self._made) >= IN_MEMORY or size > BYTES_IN_MEMORY):
            oldest = self._made.pop(next(iter(self._made)))
            size -= len(oldest.result()) if oldest in done else 0

    def _load_or_make(self, name: str, prompt: Prompt) -> bytes:
        file = self._folder / f"{name}.ulaw"
        try:
            sound = file.read_bytes()
            os.utime(file)  # the last ones asked for are kept
        except OSError:
            sound = b""
        if sound:
            return sound
        kind = type(prompt).__name__.lower()
        try:
            made = spoken(prompt) if isinstance(prompt, Say) else recorded(prompt.url)
        except CantBeMade as error:
            log.warning("prompt_not_made", kind=kind, error=str(error))
        except Exception:
            log.exception("prompt_not_made", kind=kind)
        else:
            sound = made[: LONGEST_SECONDS * sounds.RATE]
        if sound:
            _keep(file, sound)
        else:
            with self._lock:
                self._made.pop(name, None)  # the next call tries again
        return sound


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


def recorded(url: str) -> bytes:
    """Return the recording at an address as sound. Raises CantBeMade."""
    try:
        file = asyncio.run(_fetched(url))
    except aiohttp.ClientConnectorError as error:
        raise CantBeMade(f"{urlsplit(url).hostname}: {error.os_error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, addresses.UnusableAddress) as error:
        raise CantBeMade(f"{urlsplit(url).hostname}: {type(error).__name__} {error}".strip()) from error
    try:
        return sounds.ulaw_of_wav(file)
    except NotSound as reason:
        return _converted(file, str(reason))


async def _fetched(url: str) -> bytes:
    connector = aiohttp.TCPConnector(socket_factory=addresses.open_socket)
    timeout = aiohttp.ClientTimeout(total=FETCHES_WITHIN)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.get(addresses.request_url(url), allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        file = bytearray()
        async for piece in response.content.iter_chunked(65536):
            file += piece
            if len(file) > LARGEST_FILE:
                raise ValueError(f"more than {LARGEST_FILE:,} bytes")
        return bytes(file)


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
            return sounds.ulaw_of_raw(_output_of(command, file, FETCHES_WITHIN))
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
