"""Database errors that say nothing about the statement: the connection was lost, or a lock or time limit struck."""

from django.db import InterfaceError, OperationalError

# Trying the same statement again may succeed. Anything else would fail again, and is the row's own fault.
TRANSIENT_DB_ERRORS = (OperationalError, InterfaceError)
