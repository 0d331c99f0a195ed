"""Faults of the database that say nothing of what was asked of it."""

from django.db import InterfaceError, OperationalError

# It is away, or chose this transaction to break a deadlock: what was to be done is as good as before, and the next tick
# does it. Everything else is to be blamed on a row or on this program.
PASSING = (OperationalError, InterfaceError)
