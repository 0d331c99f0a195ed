"""Settings from environment variables: each is read by its kind, and all that is wrong is told at once.

    environment = Environment(os.environ)
    WEB_PORT = environment.port("WEB_PORT", 8000)
    ...
    environment.require_good()

A value that makes no sense is noted, and its default returned, so that one start shows every wrong setting. Nothing
here imports Django: `make up` reads settings of its own.
"""

import json
import math
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from core import server_urls

T = TypeVar("T")

TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
FALSE = frozenset({"false", "no", "off", "0", "n", "f"})

MOST_SHOWN = 60
"""Characters of a wrong value that a message shows."""

ALIKE = 0.8
"""How alike two names are of which one is taken for a misspelling of the other: a letter or two of ten."""

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?", re.IGNORECASE)
_COMMENT = re.compile(r"\s#")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")

WRONG_SETTINGS = 78
"""The exit code of every program whose settings make no sense: EX_CONFIG of sysexits.h, no crash to a supervisor."""

Address = tuple[str, int]


class WrongSettings(Exception):
    """Settings make no sense. The message has a line for each."""

    def __init__(self, problems: Collection[str]) -> None:
        self.problems = list(problems)
        count = "a setting is wrong" if len(self.problems) == 1 else f"{len(self.problems)} settings are wrong"
        super().__init__("\n".join([f"Trunkline can't start: {count}.", *(f"  {line}" for line in self.problems)]))


class _Wrong(ValueError):
    """A value is not allowed. The message, where there is one, says more than what is allowed."""


@dataclass(frozen=True)
class Setting:
    """A variable that is read.

    Attributes:
        default: as a text; "" where it has none, or a computed one.
        allowed: what may stand there, after "must be".
    """

    name: str
    default: str
    allowed: str
    is_secret: bool


class Environment:
    """Variables by name, the settings that were read from them, and what was wrong."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.settings: dict[str, Setting] = {}
        self.problems: list[str] = []
        self._refused: set[str] = set()

    def require_good(self) -> None:
        """Raise WrongSettings where anything was wrong."""
        if self.problems:
            raise WrongSettings(self.problems)

    def refuse_misspelt(self, names: Collection[str], where: str) -> None:
        """Note names that nothing reads and that are nearly those of settings. Other programs' may stand there."""
        for name, meant in self.misspelt(names).items():
            self.problems.append(
                f"{name} in {where} is no setting, and {meant} is one that may be meant. Correct the name, or remove"
                " the line."
            )

    def misspelt(self, names: Collection[str] | None = None) -> dict[str, str]:
        """Return the setting that is probably meant by each of the names, of all variables by default."""
        known = list(self.settings)
        unknown = sorted(set(self._values if names is None else names) - set(known))
        near = {name: get_close_matches(name.upper(), known, n=1, cutoff=ALIKE) for name in unknown}
        return {name: meant[0] for name, meant in near.items() if meant}

    def is_given(self, name: str) -> bool:
        """Tell whether the variable has a value; an empty one counts as left out."""
        return bool(self._values.get(name, "").strip())

    def refuse(self, name: str, allowed: str, remedy: str = "") -> None:
        """Note that the value of the setting is wrong, unless that is noted already."""
        if name in self._refused:
            return
        self._refused.add(name)
        setting, given = self.settings[name], self._values.get(name, "")
        shown = f"is {_shown(given, is_secret=setting.is_secret)}" if given.strip() else "is not set"
        otherwise = f", or leave it out for {setting.default}" if setting.default else ", or leave it out"
        self.problems.append(f"{name} {shown}: it must be {allowed}. {remedy or f'Correct it{otherwise}.'}")

    # Kinds -----------------------------------------------------------------------------------------------------------

    def text(self, name: str, default: str = "", *, is_secret: bool = False, allowed: str = "one line of text") -> str:
        """Return the text as it stands: no space is removed."""
        return self._read(name, default, allowed, _text, default_text=default, is_secret=is_secret, strips=False)

    def flag(self, name: str, default: bool, *, default_text: str | None = None) -> bool:
        shown = str(default) if default_text is None else default_text
        return self._read(name, default, "True or False", _flag, default_text=shown)

    def whole(self, name: str, default: int, most: int | None = None, least: int = 1) -> int:
        """Return a whole number."""
        allowed = f"a whole number{_range(least, most)}"
        return self._read(name, default, allowed, lambda given: _whole(given, least, most), default_text=str(default))

    def number(self, name: str, default: float, most: float | None = None, least: float | None = None) -> float:
        """Return a number above zero, or of least and more."""
        allowed = f"a number{' above 0' if least is None else ''}{_range(least, most)}"
        parse = lambda given: _number(given, least, most)  # noqa: E731 -- a name would say no more
        return self._read(name, default, allowed, parse, default_text=_written(default))

    def number_or_none(self, name: str, most: float, least: float, none: str) -> float | None:
        """Return a number; None where the variable is left out, which means what `none` says."""
        allowed = f"a number{_range(least, most)}, or empty for {none}"
        return self._read(name, None, allowed, lambda given: _number(given, least, most))

    def port(self, name: str, default: int) -> int:
        allowed = "a port number from 1 to 65535"
        return self._read(name, default, allowed, lambda given: _whole(given, 1, 65_535), default_text=str(default))

    def choice(self, name: str, default: str, allowed: Collection[str], *, default_text: str | None = None) -> str:
        """Return one of the allowed words, as they are spelled."""
        by_folded = {word.casefold(): word for word in allowed}

        def parse(given: str) -> str:
            if given.casefold() not in by_folded:
                raise _Wrong
            return by_folded[given.casefold()]

        shown = default if default_text is None else default_text
        return self._read(name, default, f"one of {', '.join(allowed)}", parse, default_text=shown)

    def choices(self, name: str, allowed: Collection[str]) -> list[str]:
        """Return words of the allowed ones."""

        def parse(given: str) -> list[str]:
            words = _items(given)
            if unknown := [word for word in words if word not in allowed]:
                raise _Wrong(f"without {', '.join(unknown)}, as only {', '.join(allowed)} are known")
            return words

        return self._read(name, [], f"of {', '.join(allowed)}, separated by commas", parse)

    def hosts(self, name: str, default: Collection[str]) -> list[str]:
        """Return host names as in Django's ALLOWED_HOSTS: IPv6 addresses in brackets, `.name` for all below it."""

        def parse(given: str) -> list[str]:
            hosts = [in_url(host) if ":" in host and "[" not in host else host for host in _items(given)]
            if wrong := [host for host in hosts if not _is_allowed_host(host)]:
                raise _Wrong(f"host names without scheme, port and path, and {wrong[0]!r} is none")
            return hosts

        return self._read(name, list(default), "host names, separated by commas", parse, default_text=",".join(default))

    def host(self, name: str, default: str = "", *, only_ipv4: bool = False) -> str:
        """Return a name or an IP address, without brackets, to listen at."""
        allowed = "an IPv4 address of this machine" if only_ipv4 else "a host name or an IP address of this machine"
        parse = _ipv4 if only_ipv4 else bare_host
        return self._read(name, default, allowed, parse, default_text=default)

    def address(self, name: str) -> Address | None:
        """Return host and port; None where the variable is left out."""
        return self._read(name, None, "an address and a port, as in 127.0.0.1:8002 or [::1]:8002", read_address)

    def web_url(self, name: str, default: str = "", *, default_text: str = "") -> str:
        """Return an http:// or https:// address without a slash at its end."""
        allowed = "an address that begins with http:// or https://, has a host, and no query, name or password"
        return self._read(name, default, allowed, _web_url, default_text=default_text)

    def url_prefix(self, name: str, default: str = "") -> str:
        """Return a path such as /calls; "" for none."""
        return self._read(name, default, "a path such as /calls, of letters, digits and . _ ~ -", _url_prefix)

    def server(self, name: str, default: str, kind: server_urls.Kind) -> str:
        """Return the address of a server that this kind of client can use."""

        def parse(given: str) -> str:
            if problem := kind.problem(given):
                raise _Wrong(problem)
            return given

        return self._read(name, default, kind.allowed, parse, is_secret=False)

    def path(self, name: str, default: Path, *, default_text: str = "") -> Path:
        """Return an absolute path."""

        def parse(given: str) -> Path:
            return Path(given).expanduser().resolve()

        return self._read(name, default.resolve(), "a path", parse, default_text=default_text)

    def file(self, name: str) -> str:
        """Return the path of a file that can be read; "" where the variable is left out."""

        def parse(given: str) -> str:
            try:
                with Path(given).open("rb"):
                    return given
            except OSError as error:
                raise _Wrong(f"a file that this user can read: {error.strerror}") from None

        return self._read(name, "", "a file that this user can read", parse)

    def command(self, name: str, default: str, fields: Collection[str]) -> str:
        """Return a command line with fields in braces."""

        def parse(given: str) -> str:
            try:
                parts = shlex.split(given)
                for part in parts:
                    part.format_map(dict.fromkeys(fields, ""))
            except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
                raise _Wrong(f"a command line whose braces hold only {', '.join(fields)} ({error})") from None
            if not parts:
                raise _Wrong
            return given

        return self._read(name, default, "a command line", parse, default_text=default)

    def json_object(self, name: str) -> dict[str, Any]:
        def parse(given: str) -> dict[str, Any]:
            try:
                parsed = json.loads(given)
            except (ValueError, RecursionError):
                raise _Wrong from None
            if not isinstance(parsed, dict):
                raise _Wrong
            return parsed

        return self._read(name, {}, 'a JSON object, such as {"location": "/srv/reports"}', parse, is_secret=True)

    def _read(
        self,
        name: str,
        default: T,
        allowed: str,
        parse: Callable[[str], T],
        *,
        default_text: str = "",
        is_secret: bool = False,
        strips: bool = True,
    ) -> T:
        """Return the value, or the default where there is none or a wrong one, which is noted."""
        self.settings[name] = Setting(name, default_text, allowed, is_secret)
        given = self._values.get(name, "")
        if not given.strip():
            return default
        try:
            return parse(_text(_bare(given.strip() if strips else given, allowed)))
        except _Wrong as wrong:
            self.refuse(name, str(wrong) or allowed)
            return default


# Values --------------------------------------------------------------------------------------------------------------


def in_url(host: str) -> str:
    """Return the host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def read_address(given: str) -> Address:
    """Return host, without brackets, and port of `127.0.0.1:8002` or `[::1]:8002`. Raises ValueError."""
    host, colon, port = given.rpartition(":")
    if not colon or not host or (":" in host and not host.startswith("[")):
        raise _Wrong
    return bare_host(host), _whole(port, 1, 65_535)


def bare_host(given: str) -> str:
    """Return a host name or an IP address without brackets. Raises ValueError."""
    is_bracketed = given.startswith("[") and given.endswith("]")
    host = given[1:-1] if is_bracketed else given
    if ":" in host:
        if not _is_ip_address(host, version=6):
            raise _Wrong
    elif is_bracketed or not _is_host_name(host):
        raise _Wrong
    return host


def _shown(given: str, *, is_secret: bool) -> str:
    """Return a wrong value for a message: secrets, and passwords in URLs, are dots."""
    if is_secret:
        return f"•••• ({len(given)} characters)"
    masked = server_urls.masked(given)
    return repr(masked if len(masked) <= MOST_SHOWN else f"{masked[:MOST_SHOWN]}…")


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f" and at most {_written(most)}"
    return f" of {_written(least)} or more" if most is None else f" from {_written(least)} to {_written(most)}"


def _written(number: float) -> str:
    return f"{number:.0f}" if number % 1 == 0 else f"{number:g}"


def _bare(given: str, allowed: str) -> str:
    """Return the text, unless a comment stands behind it, as other readers of `.env` allow."""
    if _COMMENT.search(given):
        raise _Wrong(f"{allowed}, with nothing behind it, not even a comment")
    return given


def _text(given: str) -> str:
    if any(character < " " or character == "\x7f" for character in given):
        raise _Wrong("one line: it has a line break or another control character, perhaps at its end")
    if any("\ud800" <= character <= "\udfff" for character in given):
        raise _Wrong("UTF-8: it has other bytes")
    return given


def _flag(given: str) -> bool:
    if given.casefold() not in TRUE | FALSE:
        raise _Wrong
    return given.casefold() in TRUE


def _whole(given: str, least: float, most: float | None) -> int:
    # int() takes a thousand digits only, and underscores and digits of other scripts.
    if not _WHOLE.fullmatch(given) or len(given) > 20:
        raise _Wrong
    value = int(given)
    if value < least or (most is not None and value > most):
        raise _Wrong
    return value


def _number(given: str, least: float | None, most: float | None) -> float:
    try:
        value = float(given) if given.isascii() and "_" not in given else math.nan
    except ValueError:
        raise _Wrong from None
    is_enough = value > 0 if least is None else value >= least
    if not (math.isfinite(value) and is_enough and (most is None or value <= most)):
        raise _Wrong
    return value


def _items(given: str) -> list[str]:
    return [item.strip() for item in given.split(",") if item.strip()]


def _is_ip_address(host: str, *, version: int) -> bool:
    try:
        return ip_address(host).version == version
    except ValueError:
        return False


def _is_host_name(host: str) -> bool:
    """Tell whether it is a name or an IPv4 address. What is made of digits and dots is no name."""
    if len(host) > 253 or not _HOST.fullmatch(host):
        return False
    return _is_ip_address(host, version=4) or not re.fullmatch(r"[0-9.]+", host)


def _is_allowed_host(host: str) -> bool:
    if host == "*":
        return True
    if host.startswith("["):
        return host.endswith("]") and _is_ip_address(host[1:-1], version=6)
    return _is_host_name(host.removeprefix("."))


def _ipv4(given: str) -> str:
    if not _is_ip_address(given, version=4):
        raise _Wrong
    return given


def _web_url(given: str) -> str:
    if any(character.isspace() or character == "\\" for character in given) or not given.isascii():
        raise _Wrong
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        raise _Wrong from None
    if parts.scheme not in {"http", "https"} or "?" in given or "#" in given or "@" in parts.netloc:
        raise _Wrong
    if port == 0 or parts.netloc.endswith(":") or not _PATH.fullmatch(parts.path):
        raise _Wrong
    host = bare_host(f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or "")
    return f"{parts.scheme}://{in_url(host)}{f':{port}' if port else ''}{parts.path}".rstrip("/")


def _url_prefix(given: str) -> str:
    if not given.startswith("/") or not _PATH.fullmatch(given):
        raise _Wrong
    return given.rstrip("/")
