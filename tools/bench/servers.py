"""A PostgreSQL and a Valkey of a figure's own, with this system's tables and nothing in them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.bench.run import environment
from tools.local import services
from tools.stack import PROJECT

MIGRATE_SECONDS = 120


@contextmanager
def migrated(data_dir: Path) -> Iterator[dict[str, str]]:
    """The environment of processes that shall use them; they stop at the end of the `with` block."""
    with services.embedded_services(data_dir, environ={}) as urls:
        variables = environment(urls, data_dir)
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=PROJECT, env=variables, check=True, timeout=MIGRATE_SECONDS)
        yield variables
