"""`make up`: a whole Trunkline on one machine, started together and stopped together.

    python -m tools.local.up [--only web,control] [--quiet] [--weights] [--healthy-after SECONDS] [--procfile PATH]

Starts the embedded servers that no environment variable replaces, prepares the database and the static files, and then
runs the Procfile's processes until it is told to stop (SIGINT, SIGTERM, SIGHUP). A process or server that was healthy
once and ends is started again, after a wait that grows while it ends again and again; one that ends within seconds of
its first start stops everything, with its last words. Whatever happens, also half way through the start, everything it
started is stopped again.

Exit code: 0 after a requested stop, 78 where settings make no sense, otherwise the code of what failed, and 1 where
that has none.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from core import server_urls
from core.dotenv import DotenvError
from core.environment import WRONG_SETTINGS, Environment, WrongSettings, in_url
from tools.local import cpu_groups, services
from tools.local.cpu_groups import NO_GROUPS, CpuGroups
from tools.local.output import Output
from tools.local.ports import accepts_connections, is_free
from tools.local.processes import ProcessEnded, Supervisor, end_leftovers
from tools.local.project import PROCFILE, SETUP, operator_environment, read_procfile
from tools.local.server_guard import ServerGuard
from tools.local.signals import StopRequested, StopSignal

HEALTHY_AFTER = 10.0
"""Seconds after which a process is taken to have started well, so that it is started again when it ends: a worker that
has lost its broker ends itself (see `watchdog`). One that never lived so long would only end again."""

SIP_GATEWAY = "sipgateway"
"""The Procfile's name of the process that most servers have no use for."""

RECORD = "processes.json"
"""File in DATA_DIR with the running processes."""


@dataclass(frozen=True)
class Address:
    """Where a process of the Procfile listens."""

    title: str
    port_variable: str
    default_port: int
    host_variable: str = ""
    path: str = ""


ADDRESSES = {
    "web": Address("API and admin", "WEB_PORT", 8000, "WEB_HOST"),
    "events": Address("Carriers' events", "EVENTS_PORT", 8001, "EVENTS_HOST"),
    "flower": Address("Tasks (Flower)", "FLOWER_PORT", 5555, path="/admin/flower/"),
    "sandbox": Address("Sandbox carrier", "SANDBOX_PORT", 8010),
}

HostsAndPorts = Mapping[str, tuple[str, int]]
"""By process name."""


class UpError(RuntimeError):
    """Nothing can be started; the message is for the operator."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    stop = StopSignal()
    with stop.installed():
        try:
            _up(options, stop)
        except StopRequested:
            return 0
        except ProcessEnded as error:
            _say(str(error))
            return error.code or 1
        except (WrongSettings, DotenvError) as error:
            _say(str(error))
            return WRONG_SETTINGS
        except (UpError, services.EmbeddedError) as error:
            _say(str(error))
            return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.local.up", description="Run a whole Trunkline.")
    parser.add_argument("--only", metavar="NAME,NAME", help="run only these processes of the Procfile")
    parser.add_argument("--quiet", action="store_true", help="write the output to DATA_DIR/logs/NAME.log instead")
    parser.add_argument(
        "--weights", action="store_true", help="share cores that are short as units of systemd do, in control groups"
    )
    parser.add_argument(
        "--healthy-after",
        type=float,
        default=HEALTHY_AFTER,
        metavar="SECONDS",
        help="start a process again that lived for so long once (default: %(default)g)",
    )
    parser.add_argument(
        "--procfile",
        type=Path,
        default=PROCFILE,
        help="another Procfile; its folder is the project's (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _up(options: argparse.Namespace, stop: StopSignal) -> None:
    project = options.procfile.resolve().parent
    environment = _environment(project)
    if not options.quiet:
        environment.setdefault("LOG_FORMAT", "console")  # for a person to read
    data_dir = Path(environment["DATA_DIR"])
    commands = _commands(options.procfile, options.only)
    with services.exclusive_use(data_dir):
        for pid in end_leftovers(data_dir / RECORD):
            _say(f"ended process {pid}, which an earlier run had left")
        cpu_groups.remove_unused()  # of a run that was killed
        groups = _groups() if options.weights else NO_GROUPS
        addresses = _free_addresses(commands, environment)
        output = Output(data_dir / "logs" if options.quiet else None, width=max(map(len, commands)))
        supervisor = Supervisor(output, cwd=project, record=data_dir / RECORD, groups=groups)
        guard: ServerGuard | None = None
        try:
            urls = services.start_services(data_dir, environ=environment)
            guard = ServerGuard(services.embedded_servers(data_dir, environment, urls), _say, groups)
            environment.update(urls)
            environment.setdefault("CELERY_BROKER_URL", environment["REDIS_URL"])
            stop.check()
            supervisor.run(SETUP, environment, stop.check)
            wanted = commands if options.only else _without_idle_gateway(commands, urls["DATABASE_URL"])
            for name, command in wanted.items():
                stop.check()
                supervisor.start(name, command, environment)
            guard.start()
            _say_if_held(urls["DATABASE_URL"])
            _watch(supervisor, addresses, output, stop, options.healthy_after)
        finally:
            _stop(supervisor, guard, data_dir, stop)


def _environment(project: Path) -> dict[str, str]:
    environment = operator_environment(project)
    environment["PYTHONUNBUFFERED"] = "1"  # or a log would lag behind what it tells
    if os.geteuid() == 0:  # as in a container; Celery says it at each start of each worker
        environment.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges")
    if not environment.get("CELERY_BROKER_URL"):
        environment.pop("CELERY_BROKER_URL", None)
    return environment


def _groups() -> CpuGroups:
    hierarchy = cpu_groups.usable()
    if hierarchy is None:
        raise UpError("--weights: this user can't make CPU control groups on this machine; run it as root, or without.")
    return CpuGroups(hierarchy)


def _commands(procfile: Path, only: str | None) -> dict[str, str]:
    try:
        commands = read_procfile(procfile)
    except OSError as error:
        raise UpError(f"{procfile} cannot be read: {error.strerror}.") from error
    if only is not None:
        chosen = [name.strip() for name in only.split(",") if name.strip()]
        if unknown := [name for name in chosen if name not in commands]:
            raise UpError(f"--only {','.join(unknown)}: the Procfile has {', '.join(commands)}.")
        commands = {name: command for name, command in commands.items() if name in chosen}
    if not commands:
        raise UpError(f"{procfile} names no process to run.")
    return commands


def _without_idle_gateway(commands: Mapping[str, str], database_url: str) -> dict[str, str]:
    """Return the commands without the SIP gateway where there is no SIP trunk. `--only` starts it anyway."""
    if SIP_GATEWAY not in commands:
        return dict(commands)
    with psycopg.connect(make_conninfo(**server_urls.libpq(database_url)[0])) as connection:
        [[has_trunk]] = connection.execute("SELECT EXISTS (SELECT FROM accounts_trunk WHERE carrier = 'sip')")
    return {name: command for name, command in commands.items() if has_trunk or name != SIP_GATEWAY}


def _say_if_held(database_url: str) -> None:
    """Say at the start that the server dials nothing. A restore that is noticed later is in /readyz and the log."""
    with suppress(psycopg.errors.UndefinedTable), psycopg.connect(database_url) as connection:
        held = connection.execute("SELECT held_since, held_why FROM accounts_installation WHERE held_since IS NOT NULL")
        for since, why in held.fetchall():
            _say(f"The server is held since {since:%Y-%m-%d %H:%M} and dials nothing: {why}. See: manage.py ready")


def _watch(
    supervisor: Supervisor, addresses: HostsAndPorts, output: Output, stop: StopSignal, healthy_after: float
) -> None:
    """Keep the processes running until a signal comes or one fails to start; say so once all addresses answer."""
    waiting: set[tuple[str, int]] | None = set(addresses.values())
    while True:
        stop.check()
        # A signal to every process of the machine ends ours first: then `check` makes it a requested stop.
        for ended in supervisor.restart_ended(healthy_after, check=stop.check):
            when = f" in {ended.wait:.0f} s" if ended.wait else ""
            words = output.last_lines(ended.name)
            _say(f"{ended.name} ended (exit code {ended.code}) and is started again{when}.{words}")
        if waiting is not None:
            waiting = {address for address in waiting if not accepts_connections(*address)}
            if not waiting:
                _announce(addresses, output.folder)
                waiting = None
        time.sleep(0.1)


def _stop(supervisor: Supervisor, guard: ServerGuard | None, data_dir: Path, stop: StopSignal) -> None:
    """Stop everything; a second signal means: at once."""
    _say("stopping")
    requests = max(stop.count, 1)
    if guard is not None:
        guard.stop_restarting()
    try:
        supervisor.stop(at_once=lambda: stop.count > requests)
    finally:
        if guard is not None:
            guard.join()
        services.stop_services(data_dir)
        cpu_groups.remove_unused(seconds=cpu_groups.KILLED_SECONDS)
    _say("stopped")


# Addresses ----------------------------------------------------------------------------------------------------------


def _free_addresses(commands: Mapping[str, str], environment: Mapping[str, str]) -> HostsAndPorts:
    """Return host and port of each process that listens. Raises WrongSettings, and UpError when one is taken."""
    settings = Environment(environment)
    chosen = {name: _chosen(address, settings) for name, address in ADDRESSES.items() if name in commands}
    settings.require_good()
    for name, (host, port) in chosen.items():
        if not is_free(host, port):
            variable = ADDRESSES[name].port_variable
            raise UpError(f"Port {port} for {name} is in use: stop what listens there, or change {variable}.")
    return chosen


def _chosen(address: Address, settings: Environment) -> tuple[str, int]:
    host = settings.host(address.host_variable, "127.0.0.1") if address.host_variable else "127.0.0.1"
    return host, settings.port(address.port_variable, address.default_port)


def _announce(addresses: HostsAndPorts, logs: Path | None) -> None:
    lines = ["Trunkline is up; Ctrl-C stops it."]
    lines += [
        f"  {ADDRESSES[name].title:<16} http://{in_url(host)}:{port}{ADDRESSES[name].path}"
        for name, (host, port) in addresses.items()
    ]
    if logs is not None:
        lines.append(f"  {'Logs':<16} {logs}")
    _say("\n".join(lines))


def _say(text: str) -> None:
    with suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
