"""Settings that follow from more than one variable, or that ask more than the form of a text."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core import secret_keys
from core.environment import Environment


def secret_key_and_those_before(env: Environment, data_dir: Path) -> tuple[str, list[str]]:
    """Return SECRET_KEY, a random one that is stored in data_dir where none is given, and the keys before it."""
    allowed = f"a random text of {secret_keys.SHORTEST} characters or more, without blanks"
    given = env.text("SECRET_KEY", is_secret=True, allowed=allowed)
    if given and (len(given) < secret_keys.SHORTEST or given.split() != [given]):
        env.refuse("SECRET_KEY", allowed, f"It signs links and encrypts tokens. {secret_keys.MAKE_ONE}")
    allowed = f"keys that were SECRET_KEY, separated by spaces, of {secret_keys.SHORTEST} characters or more each"
    before = env.text("SECRET_KEY_FALLBACKS", is_secret=True, allowed=allowed).split()
    if any(len(key) < secret_keys.SHORTEST for key in before):
        env.refuse("SECRET_KEY_FALLBACKS", allowed)
    if given:
        return given, before
    try:
        return secret_keys.made_once(data_dir), before
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        where = data_dir / "secret_key"
        env.refuse("SECRET_KEY", f"set, as none can be stored at {where} ({reason})", secret_keys.MAKE_ONE)
        return "", before


def public_url(env: Environment) -> str:
    """Return the address of this server, which ends with its path prefix; "" where none is given."""
    url, prefix = env.web_url("PUBLIC_URL", default_text="http://127.0.0.1:8000"), env.url_prefix("SCRIPT_NAME")
    path = urlsplit(url).path
    if path and prefix not in {"", path}:
        env.refuse("SCRIPT_NAME", f"{path}, the path of PUBLIC_URL")
    return f"{url}{prefix}" if url and not path else url


def storage(env: Environment, alias: str) -> dict[str, dict[str, Any]]:
    """Return an alias of STORAGES by the settings that begin with its name; nothing where no storage is named."""
    setting = f"{alias.upper()}_STORAGE"
    backend, options = env.text(setting).strip(), env.json_object(f"{setting}_OPTIONS")
    if not backend:
        if env.is_given(f"{setting}_OPTIONS"):
            env.refuse(f"{setting}_OPTIONS", f"left out where {setting} names no storage")
        return {}
    try:
        is_there = "." in backend and find_spec(backend.rpartition(".")[0]) is not None
    except (ImportError, ValueError):
        is_there = False
    if not is_there:
        env.refuse(
            setting,
            "the path of a storage class that can be imported, such as django.core.files.storage.FileSystemStorage",
            "The classes of django-storages need that package: pip install 'django-storages[s3]'",
        )
    return {alias: {"BACKEND": backend, "OPTIONS": options}}
