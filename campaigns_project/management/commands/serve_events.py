"""Take carriers' events over HTTP, until SIGTERM. The Procfile's process `events`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from campaigns_project import events


class Command(BaseCommand):
    help = "Take carriers' events over HTTP, until SIGTERM: the process `events` of the Procfile."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
        parser.add_argument("--port", type=int, required=True, help="0: any free one")

    def handle(self, *_: Any, host: str, port: int, **__: Any) -> None:
        events.serve(host, port)
