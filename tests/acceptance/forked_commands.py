"""Run `manage.py` commands in forks of this process: loading the program takes 2 s, and most commands a tenth.

    python -m tests.acceptance.forked_commands

Reads requests from its standard input and writes a response for each, as JSON in a line, until its input ends. Settings
are those of its start; a command sees the environment of its request beside them.
"""

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import IO, NoReturn

import django
from django.core.management import execute_from_command_line
from django.urls import get_resolver


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")
    django.setup()
    _ = get_resolver().url_patterns  # what the checks of each command would load
    for line in sys.stdin:
        arguments, environment, stdin = json.loads(line)
        print(json.dumps(_run(arguments, environment, stdin)), flush=True)


def _run(arguments: list[str], environment: dict[str, str], stdin: str) -> tuple[int, str, str]:
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        given.write(stdin)
        given.seek(0)
        pid = os.fork()
        if not pid:
            _be_command(arguments, environment, (given, out, err))
        _, status = os.waitpid(pid, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(status), out.read(), err.read()


def _be_command(arguments: list[str], environment: dict[str, str], files: Sequence[IO[str]]) -> NoReturn:
    """Run the command and end, past what the interpreter does at its end: that is the parent's."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = files
        os.environ.update(environment)
        execute_from_command_line(["manage.py", *arguments])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 -- as the interpreter would show it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
