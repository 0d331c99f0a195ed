"""Signals to the apps above this one, which it must not import."""

from django.dispatch import Signal

# Sent inside the transaction that ends them, with attempts: the rows as they now are, each with its campaign and the
# number of its call. Attempts that were given back are not among them: nothing has happened.
attempts_ended = Signal()
