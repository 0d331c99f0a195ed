"""Signals to the apps above this one, which it does not import."""

from django.dispatch import Signal

# Argument: contact_list. Sent inside the transaction that is about to delete it. A receiver that needs the list raises
# Conflict, and the list stays.
list_deletion_requested = Signal()

# Arguments: account_id (None: all accounts), numbers (in E.164), reason and at. Sent inside the transaction that puts
# them on the do-not-call list.
numbers_listed = Signal()

# Arguments: account_id and numbers. Sent inside the transaction that changes what rules ask of the contacts of these
# numbers: their time zone and their consent.
rules_of_contacts_changed = Signal()

# Argument: contact. Sent inside the transaction that is about to delete it.
contact_deleted = Signal()
