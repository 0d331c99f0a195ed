"""`manage.py` commands of a stack, run by a process that has loaded the program once (`forked_commands`)."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from tools.local import process_groups
from tools.stack import Stack, StackFailed


@dataclass(frozen=True)
class Done:
    """What a command has left: its exit code, and what it wrote."""

    code: int
    stdout: str
    stderr: str


class StackWithCommands(Stack):
    """A stack whose commands need not load the program, each for itself."""

    _commands: "Commands | None" = None

    def manage(self, *arguments: str, stdin: str = "") -> str:
        if self._commands is None:
            with (self.data_dir / "commands.log").open("ab") as log:
                self._commands = Commands(self.environment, log)
        done = self._commands.run(arguments, self.environment, stdin)
        if done is None or done.code:
            words = (self.data_dir / "commands.log").read_text() if done is None else done.stderr
            raise StackFailed(f"manage.py {arguments[0]} failed: {words.strip()}")
        return done.stdout

    def stop(self) -> None:
        if self._commands is not None:
            self._commands.close()
        super().stop()


class Commands:
    """Runs commands, one at a time. `environment` has the settings, `log` takes what the process itself says."""

    def __init__(self, environment: Mapping[str, str], log: IO[bytes]) -> None:
        command, pipe = [sys.executable, "-m", "tests.acceptance.forked_commands"], subprocess.PIPE
        self._process = process_groups.spawn(command, environment, stdin=pipe, stdout=pipe, stderr=log, text=True)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str = "") -> Done | None:
        """Run a command. Returns None when the process has ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([arguments, dict(environment), stdin]) + "\n")
            self._process.stdin.flush()
        response = self._process.stdout.readline()
        return Done(*json.loads(response)) if response else None

    def close(self) -> None:
        process_groups.stop([self._process])
        with suppress(BrokenPipeError), self._process:
            pass  # closes its pipes
