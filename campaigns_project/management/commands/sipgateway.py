"""Make calls over SIP trunks, until SIGTERM. The Procfile's process `sipgateway`."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from campaigns_project import startup


class Command(BaseCommand):
    help = "Make the calls of SIP trunks, until SIGTERM: the process `sipgateway` of the Procfile."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.SIP_HOST, help="default: %(default)s")
        parser.add_argument("--port", type=int, default=settings.SIP_PORT, help="default: %(default)s; 0: any free one")

    def handle(self, *_: Any, host: str, port: int, **__: Any) -> None:
        # The SIP stack belongs to the thread that imports it, and no other command needs it.
        from sipgateway.gateway import GatewayProcess

        startup.require_servers()
        GatewayProcess(host, port).run()
