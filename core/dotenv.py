"""The `.env` file: the settings of a machine. Every program reads it through this module, so all read the same.

A line is `NAME=value`. The value is what stands there: `$`, `\\`, `#` and quotes within it mean nothing. Spaces around
it are dropped; quotes around it are too, and keep such spaces. Lines that begin with `#` are comments, and `export `
before a name is ignored. docs/operator/settings.md says the same to the operator.

Nothing here imports Django: `make up` reads the file before there are settings.
"""

import re
from collections.abc import Collection, MutableMapping
from pathlib import Path

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL)


class DotenvError(ValueError):
    """The file can't be read as it stands. The message names the line, and no value: it may be a secret."""


def load(path: Path, environment: MutableMapping[str, str]) -> Collection[str]:
    """Add the file's variables to the environment, whose own win. A file that is not there adds none.

    Returns:
        The names in the file.

    Raises:
        DotenvError
    """
    found = read(path)
    for name, value in found.items():
        environment.setdefault(name, value)
    return found.keys()


def read(path: Path) -> dict[str, str]:
    """Return the file's variables; {} where there is no file. Of two lines with one name the last one counts.

    Raises:
        DotenvError
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DotenvError(
            f"{path} can't be read ({error.strerror}): give this user the right to, or remove it"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DotenvError(f"{path}, line {line}, is not UTF-8: save the file in that encoding") from None
    return parse(text, str(path))


def parse(text: str, name: str = ".env") -> dict[str, str]:
    """Return the variables of the file's text. name: of the file, for messages. Raises DotenvError."""
    found = {}
    for number, given in enumerate(text.split("\n"), start=1):
        line = given.strip()
        if not line or line.startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise DotenvError(f"{name}, line {number}, is neither NAME=value nor a comment, which begins with #")
        variable, value = parts[1], parts[2].strip()
        if "\0" in value:
            raise DotenvError(f"{name}, line {number}: the value of {variable} has a NUL character: remove it")
        found[variable] = _unquoted(value, f"{name}, line {number}: the value of {variable}")
    return found


def _unquoted(value: str, where: str) -> str:
    quote = value[:1]
    if quote not in {"'", '"'}:
        return value
    if len(value) == 1 or value[-1] != quote:
        raise DotenvError(f"{where} begins with {quote} and does not end with it: close it, with nothing after it")
    return value[1:-1]
