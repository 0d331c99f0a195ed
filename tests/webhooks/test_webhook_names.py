"""Names that never answer: they hold up neither another account's webhooks nor the end of the process."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from webhooks import names

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", 443))]


class NameServers:
    """getaddrinfo for tests: names that begin with `silent` wait until they are let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, host, *_args, **_options):
        self.asked.append(host)
        if host.startswith("silent"):
            self.let_go.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return FOUND


@pytest.fixture
def servers(monkeypatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers)
    yield servers
    servers.let_go.set()


async def asked(resolver: names.Resolver, account: int, host: str) -> "asyncio.Task[object]":
    """Begin to resolve a name for an account, as far as it goes at once."""
    names.account_id.set(account)
    task = asyncio.create_task(resolver.resolve(host, 443))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


def test_an_address_is_found(servers):
    found = asyncio.run(names.Resolver().resolve("example.com", 443))
    assert [(one["host"], one["port"], one["family"]) for one in found] == [("203.0.113.7", 443, socket.AF_INET)]


def test_names_that_never_answer_hold_up_no_other_account(servers):
    async def attack() -> None:
        resolver = names.Resolver()
        hung = [await asked(resolver, 1, f"silent-{n}.example") for n in range(100)]
        neighbour = await asked(resolver, 2, "example.com")
        assert await asyncio.wait_for(neighbour, 60)
        assert not any(task.done() for task in hung)
        servers.let_go.set()
        await asyncio.gather(*hung, return_exceptions=True)

    asyncio.run(attack())


def test_an_account_has_a_few_threads_however_many_names_it_asks_for(servers):
    async def attack() -> None:
        resolver = names.Resolver()
        hung = [await asked(resolver, 1, f"silent-{n}.example") for n in range(100)]
        running = [thread for thread in threading.enumerate() if thread.name == "receiver-name"]
        assert len(running) == names.OF_AN_ACCOUNT
        servers.let_go.set()
        await asyncio.gather(*hung, return_exceptions=True)
        assert len(servers.asked) == 100

    asyncio.run(attack())


def test_requests_for_one_name_share_a_look_up_that_outlives_one_of_them(servers):
    async def ask() -> None:
        resolver = names.Resolver()
        first, second = [await asked(resolver, 1, "silent.example") for _ in range(2)]
        first.cancel()
        servers.let_go.set()
        with pytest.raises(OSError, match="Temporary failure"):
            await second
        assert servers.asked == ["silent.example"]
        with pytest.raises(OSError, match="Temporary failure"):
            await resolver.resolve("silent.example", 443)  # a failure is not remembered
        assert len(servers.asked) == 2

    asyncio.run(ask())
