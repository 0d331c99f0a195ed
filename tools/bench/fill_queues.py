"""`python -m tools.bench.fill_queues empty|plain COUNT QUEUE…`: enqueue that many tasks, evenly over the queues."""

import sys
from collections.abc import Sequence
from itertools import cycle

import django
from celery import Task

from tools.bench.peer_app import app


def main(kind: str, count: int, queues: Sequence[str]) -> None:
    if kind == "plain":
        django.setup()
    task, arguments = _plain(count) if kind == "plain" else _empty(count)
    with app.producer_pool.acquire(block=True) as producer:
        for argument, queue in zip(arguments, cycle(queues), strict=False):
            task.apply_async((argument,), queue=queue, producer=producer)


def _empty(count: int) -> tuple[Task[[int], None], Sequence[int]]:
    from tools.bench import empty_task

    return empty_task.empty, range(count)


def _plain(count: int) -> tuple[Task[[int], None], Sequence[int]]:
    from tools.bench import plain_celery  # a model: it can be imported when Django has been set up

    return plain_celery.plain_dial, plain_celery.make_calls(count)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
