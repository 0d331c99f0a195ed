"""Take carriers' events over HTTP, until SIGTERM. The Procfile's process `events`."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from campaigns_project import events, startup


class Command(BaseCommand):
    help = "Take carriers' events over HTTP, until SIGTERM: the process `events` of the Procfile."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.EVENTS_HOST, help="default: %(default)s")
        parser.add_argument(
            "--port", type=int, default=settings.EVENTS_PORT, help="default: %(default)s; 0: any free one"
        )

    def handle(self, *_: Any, host: str, port: int, **__: Any) -> None:
        startup.require_servers()
        events.serve(host, port)
