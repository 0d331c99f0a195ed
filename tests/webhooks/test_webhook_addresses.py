"""Where webhooks may go: the public internet, and nothing that only this server can reach."""

import ipaddress
import queue
import socket
import threading
from concurrent.futures import Future

import pytest

from tests.factories import WebhookDeliveryFactory
from webhooks import addresses, delivery

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.9.9.9",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "168.63.129.16",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.192",
    "192.88.99.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "3fff::1",
    "3fff:fff:ffff::1",
    "::ffff:168.63.129.16",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "168.63.129.17",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_only_this_server_can_reach_is_not_public(address):
    assert not addresses.is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_everybody_can_reach_is_public(address):
    assert addresses.is_public(address)


@pytest.fixture(autouse=True)
def nothing_remembered():
    addresses._begin.cache_clear()
    yield
    addresses._begin.cache_clear()


def is_refused(url, look_ups=None):
    return addresses.is_refused(url, look_ups or addresses.LookUps())


def names(monkeypatch, **resolved):
    """Install a resolver that knows these names. A list of lists holds one reply for each time that it is asked."""
    asked = {name.replace("_", "."): list(answers) for name, answers in resolved.items()}

    def getaddrinfo(host, port, *_, flags=0, **__):
        try:
            found = [str(ipaddress.ip_address(host))]
        except ValueError:
            if host not in asked or flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
            found = asked[host].pop(0) if isinstance(asked[host][0], list) else asked[host]
        family = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (family[ipaddress.ip_address(address).version], socket.SOCK_STREAM, 6, "", (address, port or 0))
            for address in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


class HeldNames:
    """A resolver that knows literals, and gives no reply about any name until it is told to end."""

    def __init__(self, monkeypatch):
        self.asked, self._held, real = 0, threading.Event(), socket.getaddrinfo
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()

        def getaddrinfo(host, port, *, type, flags=0):  # noqa: A002
            if not flags & socket.AI_NUMERICHOST:
                self.asked += 1
                self.begun.put(host)
                self._held.wait(60)
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return real(host, port, type=type, flags=flags)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    def _alive(self):
        return [thread for thread in threading.enumerate() if thread.name == "webhook-name"]

    def threads(self):
        return len(self._alive())

    def end(self):
        self._held.set()
        for thread in self._alive():
            thread.join(60)


@pytest.fixture
def held_names(monkeypatch):
    held = HeldNames(monkeypatch)
    yield held
    held.end()


class TestAtCreation:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1/",
            "http://127.0.0.1:8000/hook",
            "https://10.0.0.5/hook",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://user:password@192.168.0.1/",
            "http://localhost/",
        ],
    )
    def test_a_private_address_is_refused(self, url):
        assert is_refused(url)

    @pytest.mark.parametrize("url", ["http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0/"])
    def test_other_spellings_of_an_address_are_that_address(self, url):
        assert is_refused(url)

    def test_a_name_that_leads_to_private_addresses_only_is_refused(self, monkeypatch):
        names(monkeypatch, inside_example=["10.0.0.5", "fd00::5"], both_example=["10.0.0.5", "8.8.8.8"])
        assert is_refused("https://inside.example/hook")
        assert not is_refused("https://both.example/hook")

    def test_a_name_is_looked_up_once_however_many_campaigns_have_it(self, monkeypatch):
        monkeypatch.setattr(addresses, "CACHED_SECONDS", 1e9)  # or the minute might end meanwhile
        names(monkeypatch, client_example=[["8.8.8.8"]])
        assert not any(is_refused(f"https://client.example/{number}") for number in range(600))

    def test_a_name_that_nobody_knows_yet_and_nonsense_are_not_judged(self, monkeypatch):
        names(monkeypatch)
        assert not is_refused("https://soon.example/")
        assert not is_refused("http://[::1")
        assert not is_refused("http://")

    def test_names_that_never_resolve_cost_a_request_its_time_once(self, monkeypatch, settings, held_names):
        """However many names a request holds, and whatever else it holds: no thread more, and no second wait."""
        settings.WEBHOOK_LOOK_UP_SECONDS = 0.05
        look_ups = addresses.LookUps()
        assert not any(is_refused(f"https://{number}.example/", look_ups) for number in range(200))
        assert look_ups.seconds_left == 0
        for _ in range(addresses.LOOK_UPS_AT_ONCE):
            held_names.begun.get(timeout=60)
        assert held_names.asked == addresses.LOOK_UPS_AT_ONCE
        assert held_names.threads() == addresses.LOOK_UPS_AT_ONCE
        assert is_refused("http://127.0.0.1/x", look_ups), "a literal needs no look-up"

    def test_others_do_not_wait_for_names_that_never_resolve(self, monkeypatch, settings, held_names):
        settings.WEBHOOK_LOOK_UP_SECONDS = 0.05
        for number in range(addresses.LOOK_UPS_AT_ONCE):
            is_refused(f"https://{number}.example/")
        settings.WEBHOOK_LOOK_UP_SECONDS = 10
        neighbour = addresses.LookUps()
        monkeypatch.setattr(Future, "result", lambda *_: pytest.fail("the neighbour waits"))
        assert not is_refused("https://neighbour.example/", neighbour)
        assert is_refused("http://10.0.0.1/", neighbour)

    def test_there_is_room_again_when_they_have_ended(self, monkeypatch, settings, held_names):
        settings.WEBHOOK_LOOK_UP_SECONDS = 0.05
        for number in range(addresses.LOOK_UPS_AT_ONCE):
            is_refused(f"https://{number}.example/")
        held_names.end()
        names(monkeypatch, inside_example=["10.0.0.5"])
        settings.WEBHOOK_LOOK_UP_SECONDS = 10
        assert is_refused("https://inside.example/")

    def test_the_setting_allows_them(self, settings):
        settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = True
        assert not is_refused("http://127.0.0.1/")


@pytest.mark.django_db(transaction=True)
class TestAtDelivery:
    # Of other spellings than four decimals aiohttp says that they are no address.
    REFUSED = ("refused: ", "can't connect", "this address can't be used")

    def refusal(self, url):
        row = WebhookDeliveryFactory(url=url)
        delivery.deliver_due()
        row.refresh_from_db()
        assert row.state == "pending"
        return row.last_error

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "127.1", "0"])
    def test_a_private_address_is_not_connected_to(self, receiver, host):
        assert self.refusal(f"http://{host}:{receiver.server.server_port}/").startswith(self.REFUSED)
        assert receiver.received == []

    def test_the_refusal_says_why(self, receiver):
        assert self.refusal(receiver.url()) == "refused: 127.0.0.1 is not an address of the public internet"

    def test_a_name_that_has_moved_into_a_private_network_since_is_not_followed(self, receiver, monkeypatch):
        """The name was public when the campaign was created, and is private when the connection is made."""
        names(monkeypatch, client_example=[["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"]])
        url = f"http://client.example:{receiver.server.server_port}/"
        assert not is_refused(url)
        assert self.refusal(url).startswith("refused: ")
        assert receiver.received == []

    def test_the_connection_goes_to_the_address_that_was_checked(self, receiver, monkeypatch):
        """One resolution, one check, one connection: the name is not resolved twice."""
        checked = []

        def public(address):
            checked.append(address)
            return True

        monkeypatch.setattr(addresses, "is_public", public)
        names(monkeypatch, client_example=[["127.0.0.1"], ["10.0.0.1"]])
        row = WebhookDeliveryFactory(url=f"http://client.example:{receiver.server.server_port}/hook")
        delivery.deliver_due()
        row.refresh_from_db()
        assert (row.state, checked) == ("delivered", ["127.0.0.1"])
        assert receiver.received[0].headers["Host"] == f"client.example:{receiver.server.server_port}"
