"""Batches of rows of which one may hold a fault: try them together, then one by one, then give up the faulty one.

A fault stays with its row: the other rows of the batch are handled as if it were not there. Errors in TRANSIENT_ERRORS
say nothing about a row: the connection was lost, a lock or a time limit ran out, or Redis is away. The same work may
succeed in a second, so they are always raised, and no row is given up for them. Any other exception would come again,
so it is taken as the fault of a row.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import structlog
from django.db import InterfaceError, OperationalError, transaction
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

TRANSIENT_ERRORS = (OperationalError, InterfaceError, RedisError)

Item = TypeVar("Item", bound=Hashable)
Result = TypeVar("Result")


def together(work: str, batch: Callable[[], Result], *, otherwise: Callable[[], Result]) -> Result:
    """Return what `batch` returns. Where a row makes it fail, return what `otherwise` returns.

    Args:
        work: what is done, for the log.
        batch: handles all rows in one transaction of its own.
        otherwise: handles the same rows with `one_by_one`.

    Raises:
        One of TRANSIENT_ERRORS.
    """
    try:
        return batch()
    except TRANSIENT_ERRORS:
        raise
    except Exception:
        log.exception("batch_failed", work=work)
    return otherwise()


def one_by_one(
    work: str,
    items: Iterable[Item],
    handle: Callable[[Item], Result],
    *,
    give_up: Callable[[Item, Exception], object],
) -> dict[Item, Result]:
    """Handle each item in a transaction of its own; undo one that fails, and give it up in a second transaction.

    An item that can't even be given up is logged and left as it was.

    Args:
        work: what is done, for the log.
        items: they are logged as text when they fail.
        give_up: takes the item and what `handle` raised.

    Returns:
        What `handle` returned, for the items whose transaction is committed.

    Raises:
        One of TRANSIENT_ERRORS; the items after that one are not handled.
    """
    handled: dict[Item, Result] = {}
    for item in items:
        try:
            with transaction.atomic():
                result = handle(item)
        except TRANSIENT_ERRORS:
            raise
        except Exception as error:
            log.exception("batch_item_failed", work=work, item=str(item))
            _give_up(work, item, error, give_up)
        else:
            handled[item] = result
    return handled


def _give_up(work: str, item: Item, error: Exception, give_up: Callable[[Item, Exception], object]) -> None:
    try:
        with transaction.atomic():
            give_up(item, error)
    except TRANSIENT_ERRORS:
        raise
    except Exception:
        log.exception("batch_item_not_given_up", work=work, item=str(item))
