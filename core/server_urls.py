"""Addresses of PostgreSQL, Redis and the broker: are they right, and what do they say?

They are read as their clients do (libpq, redis-py, kombu), which the operator finds documented. What an address leaves
out is added here, and what it gives is kept. Nothing here imports Django or connects to anything.
"""

import re
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
import redis
from psycopg import conninfo

DOTS = "••••"

ESCAPED = "with @ : / ? # & % within a password written as %40 and so on"

OWN_DATABASE_OPTIONS = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
"""A dead connection is noticed within a minute."""

SESSION = (
    "-c idle_in_transaction_session_timeout=30s -c lock_timeout=10s -c statement_timeout=0"
    " -c default_transaction_isolation=read\\ committed -c DateStyle=ISO -c IntervalStyle=postgres"
)
"""What a process that hangs, or died with its machine, must not hold: a lock that all others wait for. An idle
transaction is ended, and a wait for a lock is given up and tried again. And what the code is written for, whatever the
server's or the role's own defaults are."""

_DJANGO_OPTIONS = frozenset({"CONN_MAX_AGE", "CONN_HEALTH_CHECKS", "DISABLE_SERVER_SIDE_CURSORS"})
_LIBPQ_NUMBERS = frozenset(
    {"connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
)
_LIBPQ_CHOICES = {
    "sslmode": frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}),
    "target_session_attrs": frozenset({"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}),
    "gssencmode": frozenset({"disable", "prefer", "require"}),
    "channel_binding": frozenset({"disable", "prefer", "require"}),
}
_LIBPQ_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_REDIS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OUR_TRANSACTIONS = frozenset({"ATOMIC_REQUESTS", "AUTOCOMMIT"})
_SENTINEL = "not Sentinel's: it is not spoken to here; name an address that follows the primary, such as HAProxy's"


@dataclass(frozen=True)
class Kind:
    """A kind of server.

    Attributes:
        allowed: what may stand there, after "must be".
        problem: returns what an address must be and is not; "" for one that is right.
    """

    allowed: str
    problem: Callable[[str], str]


def masked(url: str) -> str:
    """Return a text that may be a URL, without the names and passwords in it, however it is written."""
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    if "@" in rest:
        rest = f"{DOTS}@{rest.rpartition('@')[2]}"
    else:
        # `redis://:password/0`, whose author has forgotten the @, and `redis:password`.
        rest = re.sub(r"^([^/?#\[\]:]*:)(?!\d*(?:[/?#,]|$))[^/?#]*", rf"\1{DOTS}", rest)
    rest = re.sub(r"((?:password|token|secret)[^=&]*=)[^&]*", rf"\1{DOTS}", rest, flags=re.IGNORECASE)
    return f"{scheme}{mark}{rest}"


# PostgreSQL ----------------------------------------------------------------------------------------------------------


def database(url: str) -> dict[str, Any]:
    """Return the database as Django's setting, with what the address says above what we say.

    Raises:
        ValueError: what the address must be.
    """
    given, own = libpq(url)
    if not given.get("dbname") and not given.get("service"):
        raise ValueError("with the name of a database at its end: postgresql://user:password@host:5432/name")
    if "/" in given.get("dbname", ""):
        raise ValueError(
            "with one name behind the host, that of the database: postgresql://user:password@host:5432/name"
        )
    places = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    found = {place: given.pop(name, "") for place, name in places.items()}
    given.pop("client_encoding", None)  # Django's
    # Of two values of one parameter PostgreSQL takes the last.
    session = " ".join(filter(None, [SESSION, given.pop("options", "")]))
    return {
        "ENGINE": "campaigns_project.postgresql",
        **found,
        # Ten minutes: a connection serves many requests and tasks. The health check notices a restarted server.
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        **own,
        "OPTIONS": OWN_DATABASE_OPTIONS | given | {"options": session},
    }


def libpq(url: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the parameters that libpq takes, and those that are Django's.

    Raises:
        ValueError: what the address must be.
    """
    base, mark, query = url.partition("?")
    own, others = {}, []
    for item in filter(None, query.split("&")):
        name, _, value = item.partition("=")
        if name.upper() in _OUR_TRANSACTIONS:
            raise ValueError(f"without {name.upper()}: Trunkline opens its transactions itself")
        if name.upper() in _DJANGO_OPTIONS:
            own[name.upper()] = _django_option(name.upper(), value)
        else:
            others.append(item)
    try:
        given = conninfo.conninfo_to_dict(base + mark + "&".join(others))
    except psycopg.Error as error:
        raise ValueError(_libpq_reason(str(error))) from None
    found = {name: str(value) for name, value in given.items() if value is not None}
    if wrong := next((name for name, value in found.items() if not _is_libpq_value(name, value)), ""):
        raise ValueError(f"an address with a {wrong} that libpq takes")
    if missing := _unreadable(found, _LIBPQ_FILES):
        raise ValueError(f"an address whose {missing} is a file that this user can read")
    return found, own


def _libpq_reason(told: str) -> str:
    """Return what the address must be, with a wrong parameter's name: the rest of the words may hold the password."""
    named = re.search(r'query parameter: "([a-z_]{1,40})"', told)
    if named:
        return f"an address with parameters of libpq, and {named[1]} is none"
    return "an address that libpq takes: write @ : / ? # & % within a password as %40 and so on"


def _is_libpq_value(name: str, value: str) -> bool:
    """Judge what libpq judges only when it connects."""
    if name == "port":
        return all(not port or (port.isdecimal() and 0 < int(port) < 65_536) for port in value.split(","))
    if name in _LIBPQ_NUMBERS:
        return re.fullmatch(r"-?[0-9]{1,9}", value) is not None
    return name not in _LIBPQ_CHOICES or value in _LIBPQ_CHOICES[name]


def _unreadable(given: Mapping[str, str], names: Collection[str]) -> str:
    """Return the name of the first of these parameters that names no file; "" where all of them do."""
    for name in names:
        if name in given and given[name] != "system":
            try:
                Path(given[name]).open("rb").close()
            except OSError:
                return name
    return ""


def _django_option(name: str, value: str) -> int | bool | None:
    if name == "CONN_MAX_AGE":
        if value.lower() == "none":
            return None
        if value.isascii() and value.isdecimal() and len(value) < 10:
            return int(value)
        raise ValueError("with CONN_MAX_AGE in whole seconds, or None")
    if value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ValueError(f"with {name} as True or False")


def _database_problem(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        return "the address of a PostgreSQL database: postgresql://user:password@host:5432/name"
    try:
        database(url)
    except ValueError as error:
        return str(error)
    return ""


# Redis and the broker ------------------------------------------------------------------------------------------------


def _redis_problem(url: str) -> str:
    scheme = url.partition(":")[0]
    if "sentinel" in scheme:
        return _SENTINEL
    if scheme not in {"redis", "rediss", "unix"} or "://" not in url:
        return REDIS.allowed
    try:
        parts = urlsplit(url)
        is_right = parts.port != 0 and (scheme == "unix" or re.fullmatch(r"/?|/[0-9]{1,5}", parts.path) is not None)
        is_right &= _is_redis_host(parts)
        redis.ConnectionPool.from_url(with_tls(url, "")).make_connection()
    except (ValueError, TypeError, redis.RedisError) as error:
        return _redis_reason(str(error))
    if "decode_responses" in dict(parse_qsl(parts.query)):
        return "an address without decode_responses: what Redis replies is read as text"
    if not is_right:
        return "an address of one host that ends with the number of a database, such as redis://host:6379/0"
    if missing := _unreadable(dict(parse_qsl(parts.query)), _REDIS_FILES):
        return f"an address whose {missing} is a file that this user can read"
    return ""


def _is_redis_host(parts: SplitResult) -> bool:
    """Tell whether it is one host, and none before the path of a socket. redis-py takes any text."""
    host = parts.netloc.rpartition("@")[2]
    return not host if parts.scheme == "unix" else re.search(r"[\s,;]", host) is None


def _redis_reason(told: str) -> str:
    """Return what the address must be, with a wrong parameter's name: the rest of the words may hold the password."""
    if named := re.search(r"(?:Invalid value for|unexpected keyword argument) '([a-z_]{1,40})'", told):
        return f"an address with parameters of redis-py, which does not take this {named[1]}"
    if told.startswith("ssl_cert_reqs"):
        return f"an address in which {told}"
    return f"{REDIS.allowed}. Write @ : / ? # & % within a password as %40 and so on"


def _broker_problem(url: str) -> str:
    scheme = url.partition(":")[0]
    if "sentinel" in scheme:
        return _SENTINEL
    if scheme in {"redis", "rediss", "unix"}:
        return _redis_problem(url)
    if scheme not in {"amqp", "amqps", "pyamqp"} or "://" not in url:
        return BROKER.allowed
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    return "an address with a port from 1 to 65535, such as amqp://user:password@host:5672//" if port == 0 else ""


def with_tls(url: str, ca_file: str) -> str:
    """Return the address of a Redis, which asks for its certificate to be verified where it is rediss://.

    Clients differ in what they do with an address that says nothing: kombu verifies nothing then.

    Args:
        ca_file: of the authorities that may have signed it; "": those of the system.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return url
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query["ssl_cert_reqs"] = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if query["ssl_cert_reqs"] not in {"required", "optional", "none"}:
        raise ValueError("ssl_cert_reqs is required, optional or none")
    if query["ssl_cert_reqs"] == "none":
        query["ssl_check_hostname"] = "false"  # Python's ssl refuses to check a name in what it does not verify
    if ca_file:
        query.setdefault("ssl_ca_certs", ca_file)
    return urlunsplit(parts._replace(query=urlencode(query)))


def broker(url: str, ca_file: str) -> str:
    """Return the broker's address as kombu has it."""
    parts = urlsplit(with_tls(url, ca_file))
    if parts.scheme not in {"redis", "rediss", "unix"}:
        return url
    query = dict(parse_qsl(parts.query))
    database = query.get("db") or parts.path.strip("/") or "0"
    if parts.scheme == "unix":
        return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={query.get('db', '0')}"
    # What else the address says is for redis-py: kombu would refuse it.
    tls = {name: value for name, value in query.items() if name.startswith("ssl_")}
    return urlunsplit(parts._replace(path=f"/{database}", query=urlencode(tls)))


def broker_tls(url: str, ca_file: str) -> dict[str, Any] | bool:
    """Return Celery's `broker_use_ssl`: for RabbitMQ over TLS, whose client would verify nothing by itself.

    Redis has its options in the address.
    """
    parts = urlsplit(url)
    if parts.scheme != "amqps":
        return False
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}
    return options | ({"ca_certs": ca_file} if ca_file else {})


DATABASE = Kind("the address of a PostgreSQL database: postgresql://user:password@host:5432/name", _database_problem)
REDIS = Kind("redis://host:6379/0, rediss://host:6379/0 for TLS, or unix:///path?db=0", _redis_problem)
BROKER = Kind(
    "redis://, rediss:// or unix://, or RabbitMQ's amqp://user:password@host:5672// or amqps://", _broker_problem
)
