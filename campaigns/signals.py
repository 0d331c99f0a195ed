"""What this app tells those above it, which it does not import."""

from django.dispatch import Signal

# Sent after the commit, with account_ids: these accounts have campaigns in progress with calls to dial.
work_due = Signal()

# Sent inside the transaction that makes the change, so that what receivers write is kept or lost together with it. Each
# brings the rows as its sender had loaded them, before the move: a receiver sees at no cost whether it is concerned.

# With campaigns, to, at: these campaigns have moved to the state.
campaigns_moved = Signal()
# With campaigns and call_ids: these calls, all of these campaigns, are over, their retries included.
calls_ended = Signal()
