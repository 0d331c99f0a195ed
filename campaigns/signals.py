"""Signals to the apps above this one, which it does not import."""

from django.dispatch import Signal

# Argument: account_ids. These accounts have campaigns in progress with calls to dial. Sent after the commit.
work_due = Signal()

# The signals below are sent inside the transaction that makes the change, so what a receiver writes is committed or
# rolled back together with it. The rows are as they now are in the database, without the relations that the sender had
# no reason to load: a receiver that needs a campaign's account loads it, for all campaigns at once.

# Arguments: campaigns, at. These campaigns have moved to the status that they have.
campaigns_moved = Signal()
# Arguments: campaigns, calls. These calls, each of one of these campaigns, have ended and will not be retried. Where a
# campaign is stopped there may be half a million, and `calls` is an `EndedCalls`, which loads them while it is iterated
# over: look at the campaigns first, and don't make a list of the calls.
calls_ended = Signal()
