"""Signals to the apps above this one, which it does not import."""

from django.dispatch import Signal

# Argument: account_ids. These accounts have campaigns in progress with calls to dial. Sent after the commit.
work_due = Signal()

# The signals below are sent inside the transaction that makes the change, so what a receiver writes is committed or
# rolled back together with it. The rows are as they now are in the database, without the relations that the sender had
# no reason to load: a receiver that needs a campaign's account loads it, for all campaigns at once.

# Arguments: campaigns, at. These campaigns have moved to the status that they have. One that `is_ending` has calls
# that are still to be ended, and `endings_finished` follows.
campaigns_moved = Signal()
# Arguments: campaigns. The last waiting calls of these campaigns, which moved to their end before, have ended now.
endings_finished = Signal()
# Arguments: campaigns, call_ids, at. These calls, each of one of these campaigns, ended at that moment and will not be
# retried. There may be thousands, so only their ids are given. Of a campaign that ends in slices also calls_left: so
# many are still to be ended.
calls_ended = Signal()
