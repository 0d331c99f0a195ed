"""gunicorn's configuration, as far as it comes from settings. The Procfile has the rest.

It is read before a worker is started: settings that make no sense end gunicorn, which would otherwise start workers
again for ever.
"""

import os
from typing import Any

from django.conf import settings
from django.urls import get_resolver

from campaigns_project import garbage, startup
from core.environment import in_url

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")
startup.require_settings()

_addresses = [(settings.WEB_HOST, settings.WEB_PORT), *filter(None, [settings.ADMIN_ADDRESS])]
bind = [f"{in_url(host)}:{port}" for host, port in _addresses]
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS


def post_worker_init(worker: Any) -> None:
    """Let the first workers ask what the servers are, before they serve.

    One that takes the place of another does not: a new version may lie there whose migrations are about to run, and
    gunicorn would end all of them.
    """
    if worker.age <= worker.cfg.workers:
        startup.require_servers(startup.WORKER_CANT_BOOT)
    _leave_what_is_loaded_out_of_collections()


def _leave_what_is_loaded_out_of_collections() -> None:
    """Let no search for reference cycles look at it: a full one held up requests for a tenth of a second.

    Searches stay as frequent as Python has them. Rarer ones, as in workers, find more at once, and p99 became twice as
    high.
    """
    _ = get_resolver().url_patterns  # or the first request loads the views
    garbage.leave_out_what_is_loaded()
    garbage.search_as_often_as_python_does()


# gunicorn would refuse every request without the prefix, those of probes too. `path_prefix` takes both.
os.environ.pop("SCRIPT_NAME", None)
