"""Fair shares: which campaign of an account gets the next channel."""

import heapq
from collections.abc import Hashable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Ready(Generic[T]):
    """A campaign that may dial now.

    Attributes:
        due: how many of its calls are due.
        up: how many are up.
        limits: what else limits it, by the names that `take_turns` is given room for.
    """

    campaign: T
    due: int
    up: int
    limits: tuple[Hashable, ...] = ()


def take_turns(
    ready: Sequence[Ready[T]], places: int, room: MutableMapping[Hashable, int] | None = None
) -> Iterator[T]:
    """Give out `places` one by one, each to the campaign with the fewest calls up that still has some due.

    Equal shares in the end: a campaign of a hundred calls does not wait for one of a hundred thousand. One that a limit
    of its own holds back leaves its turns to the others.

    Args:
        ready: of campaigns with as many calls up, the first comes first.
        room: how many places each limit has; those given out are taken from it. A limit that is not in it binds nobody.
    """
    room = {} if room is None else room
    queue = [(row.up, order, row.due, row) for order, row in enumerate(ready) if row.due > 0]
    heapq.heapify(queue)
    while queue and places > 0:
        up, order, due, row = heapq.heappop(queue)
        if any(room.get(limit, 1) <= 0 for limit in row.limits):
            continue
        yield row.campaign
        places -= 1
        for limit in row.limits:
            if limit in room:
                room[limit] -= 1
        if due > 1:
            heapq.heappush(queue, (up + 1, order + len(ready), due - 1, row))
