"""What this app tells the apps above it, which it does not import."""

from django.dispatch import Signal

# Sent after the commit, with account_ids: these accounts have campaigns in progress with calls to dial.
work_due = Signal()

# Sent inside the transaction that makes the change, so that what receivers write is committed or rolled back with it.
# The rows are as they now are in the database, and with what their sender had no reason to load left out: a receiver
# that needs a campaign's account loads it, for all campaigns at once, and a campaign without callbacks costs nothing.

# With campaigns, at: these campaigns have moved to the status that they have.
campaigns_moved = Signal()
# With campaigns and calls: these calls, each of one of these campaigns, have ended, their retries included. Stopping a
# campaign may end half a million, so there `calls` is an `EndedCalls`, which loads them while it is iterated over: look
# at the campaigns first, and don't make a list of the calls.
calls_ended = Signal()
