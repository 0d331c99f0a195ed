"""One kind of request at a steady pace, one at a time: as many while the system is busy as while it is idle."""

import base64
import http.client
import time
from threading import Thread
from urllib.parse import urlsplit

from tools.stack import Client

PATIENCE_SECONDS = 60
# A connection stays with one web process, which another kind of request may keep busy or not: by chance, for as long as
# it lasts.
REQUESTS_OF_A_CONNECTION = 20


class Paced(Thread):
    """Asks from its start on; `times` has the milliseconds of each request once it has ended.

    A request that takes longer than the pace allows delays the next ones, and the pace is made up for afterwards. Each
    is timed from when it is sent. http.client, as the library requests takes longer than some responses.
    """

    def __init__(self, client: Client, method: str, path: str, *, pace: float, count: int, body: bytes = b"") -> None:
        """Take requests to `path` below the account's address: so many, this many a second."""
        super().__init__(daemon=True)
        self.times: list[float] = []
        self._failure: Exception | None = None
        address = urlsplit(f"{client.base}{path}")
        self._connection = http.client.HTTPConnection(address.netloc, timeout=PATIENCE_SECONDS)
        self._method, self._path, self._body = method, address.path, body
        assert isinstance(client.session.auth, tuple)
        credentials = base64.b64encode(":".join(client.session.auth).encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        self._pace, self._count = pace, count

    def run(self) -> None:
        try:
            began = time.perf_counter()
            for position in range(self._count):
                if position % REQUESTS_OF_A_CONNECTION == 0:
                    self._connection.close()
                    self._connection.connect()
                time.sleep(max(0.0, began + position / self._pace - time.perf_counter()))
                sent = time.perf_counter()
                self._ask()
                self.times.append((time.perf_counter() - sent) * 1000)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._failure = error
        finally:
            self._connection.close()

    def result(self) -> list[float]:
        """Wait for the end; returns the times. Raises what went wrong."""
        self.join()
        if self._failure:
            raise self._failure
        return self.times

    def _ask(self) -> None:
        self._connection.request(self._method, self._path, self._body, self._headers)
        response = self._connection.getresponse()
        told = response.read()
        if response.status != 200:
            raise ValueError(
                f"{self._method} {self._path} got {response.status}: {told[:300].decode(errors='replace')}"
            )
