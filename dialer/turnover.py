"""Settle the inbox, and give the channels that are freed to the next calls.

A dispatcher is sent a message for that. Where a few channels are free, the message would cost as much as the dispatch
and take longer, so the worker that has settled dispatches the account itself (decision 0072).
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial

from dialer import dispatch, inbox, messages, restores

# Channels of one account that count as few, and the most calls that are claimed for them: outcomes of other accounts
# wait meanwhile.
FEW = 50


def settle(clock: Callable[[], datetime]) -> None:
    """Settle events until the inbox is empty, or others have taken the rest. Then let the freed channels be used.

    A full batch means that there is more: another worker takes batches beside this one.
    """
    with messages.gathering_freed() as freed:
        while inbox.settle_batch(clock()) == inbox.BATCH:
            messages.enqueue_settle_beside()
            messages.enqueue_dispatch(freed)
            freed.clear()
    _dispatch(freed, clock())


def _dispatch(freed: Counter[int], now: datetime) -> None:
    """Dispatch one of the accounts with few channels, and enqueue a dispatch of each other one first."""
    few = Counter({account_id: channels for account_id, channels in freed.items() if channels <= FEW})
    own = [account_id for account_id, _ in few.most_common(1) if restores.may_dial_without_asking(now)]
    messages.enqueue_dispatch(account_id for account_id in freed if account_id not in own)
    for account_id in own:
        messages.dispatch_at_once(account_id, partial(dispatch.dispatch, account_id, now, FEW))
