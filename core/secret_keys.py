"""SECRET_KEY where none is given: a random one, made once for each DATA_DIR. No two servers share a default."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

SHORTEST = 32
"""Characters: 192 bits where they are of 64 kinds."""

MAKE_ONE = "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(64))'"


def made_once(data_dir: Path) -> str:
    """Return the key that is stored in data_dir, and make it where there is none. Raises OSError."""
    stored = data_dir / "secret_key"
    if not stored.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        new = data_dir / f"secret_key.{os.getpid()}"
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(64))
        # A link appears whole or not at all, and the first of two processes wins.
        with suppress(FileExistsError):
            os.link(new, stored)
        new.unlink()
    return stored.read_text().strip()
