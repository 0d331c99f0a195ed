"""Flower, for requests to the names of this server only: `python -m campaigns_project.flower --port=5555`.

Flower has no login and believes any Host header, so a page in a browser on this machine could read it under a name of
its own that leads to 127.0.0.1 (DNS rebinding). What it remembers is bounded, as a task takes 5 kB.
"""

import sys
from typing import Any
from urllib.parse import urlsplit

import flower.app
import flower.command
from celery.bin.celery import main as celery_main
from django.http.request import validate_host
from tornado.httputil import HTTPServerRequest
from tornado.web import ErrorHandler

# Tasks that it remembers: those of the last minutes. Flower's own 100,000 are half a gigabyte, which ticks alone fill
# within hours.
MOST_TASKS = 1_000


class OwnHostsOnly(flower.app.Flower):  # type: ignore[misc] # Flower has no types
    """Refuses requests whose host is not one of ALLOWED_HOSTS."""

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        if not is_own_host(request.host):
            return self.get_handler_delegate(request, ErrorHandler, {"status_code": 400})
        return super().find_handler(request, **options)


def is_own_host(given: str) -> bool:
    """Tell whether a Host header names this server, whatever its port."""
    from django.conf import settings

    try:
        host = urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return False
    return validate_host(f"[{host}]" if ":" in host else host, settings.ALLOWED_HOSTS)


def main(arguments: list[str]) -> int:
    """Run Celery's command `flower` with these arguments."""
    from django.conf import settings

    from campaigns_project import garbage, startup

    startup.require_settings()
    # Each task that it forgets is a cycle, of which rare searches leave more than what it remembers.
    garbage.search_as_often_as_python_does()
    flower.command.Flower = OwnHostsOnly
    own_path = f"--url_prefix={settings.SCRIPT_NAME}/admin/flower".replace("=/", "=")
    bounds = f"--max_tasks={MOST_TASKS}"
    sys.argv = ["celery", "--quiet", "--app", "campaigns_project", "flower", own_path, bounds, *arguments]
    return int(celery_main() or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
