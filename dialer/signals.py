"""What this app tells those above it, which it does not import."""

from django.dispatch import Signal

# Sent inside the transaction that ends them, with attempts, as they were before, their campaigns loaded. Attempts that
# were given back are not among them: nothing has happened.
attempts_ended = Signal()
