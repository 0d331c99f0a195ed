"""What this app tells those above it, which it does not import."""

from django.dispatch import Signal

# Sent after the commit, with account_ids: these accounts have campaigns in progress with calls to dial.
work_due = Signal()
