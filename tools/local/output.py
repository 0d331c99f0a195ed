"""Where supervised processes write: the terminal, each line with its process's name, or a log file each."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from honcho.colour import get_colours
from honcho.printer import Message, Printer


class Output:
    """The terminal if `folder` is None, files `folder/NAME.log` otherwise.

    Args:
        width: characters of the longest name, for the terminal.
    """

    def __init__(self, folder: Path | None = None, *, width: int = 0) -> None:
        self.folder = folder
        self._printer = Printer(sys.stdout, width=width)
        self._colours = get_colours()
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def target(self, name: str) -> Iterator[IO[bytes] | int]:
        """Yield what to give a new process as its output. The first process of a name empties the log file."""
        if self.folder is None:
            yield subprocess.PIPE
        else:
            with (self.folder / f"{name}.log").open("ab" if name in self._begun else "wb") as log:
                self._begun.add(name)
                yield log

    def follow(self, name: str, stream: IO[bytes]) -> threading.Thread:
        """Print what comes out of `stream`, in a thread that ends with it."""
        thread = threading.Thread(target=self._print_all, args=(name, stream, next(self._colours)), daemon=True)
        thread.start()
        return thread

    def last_lines(self, name: str) -> str:
        """Return the end of the log file, for an error message; "" for the terminal, which has shown it."""
        if self.folder is None:
            return ""
        log = self.folder / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines()[-20:]
        return "\n".join([f" The end of {log}:", *(f"  {line}" for line in lines)])

    def _print_all(self, name: str, stream: IO[bytes], colour: str) -> None:
        with stream:
            for line in stream:
                # Goes on reading when our own output is closed: a process must not block on a full pipe.
                with self._lock, suppress(OSError, ValueError):
                    self._printer.write(Message("line", line, datetime.now().astimezone(), name, colour))
