"""What this app tells the apps above it, which it does not import."""

from django.dispatch import Signal

# Sent with contact_list, inside the transaction that is about to delete it. A receiver that needs the list raises
# Conflict, and the list stays.
list_deletion_requested = Signal()
