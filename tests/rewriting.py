"""Let one worker of a run rewrite each file of tests: pytest rewrites assertions at the first run of a checkout.

The workers start at the same moment and import the same files in the same order, so each would rewrite all of them.
"""

import hashlib
import importlib.util
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from _pytest.assertion import rewrite

from tests.once import alone

_pytests: Any = rewrite  # what is used of it has no promise to stay; pytest's version is pinned
_rewrite = _pytests._rewrite_test


def _rewrite_once(file: Path, config: pytest.Config) -> tuple[bytes, CodeType]:
    """Return the hash and the rewritten code of a file, from pytest's cache where another worker has put it."""
    kept = _pytests.get_cache_dir(file) / f"{file.stem}{_pytests.PYC_TAIL}"
    with alone(f"rewritten-{hashlib.sha256(bytes(file)).hexdigest()[:16]}"):
        if code := _pytests._read_pyc(file, kept):
            return importlib.util.source_hash(file.read_bytes()), code
        source_hash, code = _rewrite(file, config)
        _pytests._write_pyc(config.stash[_pytests.assertstate_key], code, source_hash, kept)
        return source_hash, code


_pytests._rewrite_test = _rewrite_once
