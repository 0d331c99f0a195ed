"""Signals to the apps above this one, which it does not import."""

from django.dispatch import Signal

# Arguments: caller_ids (a queryset), kind (a CarrierKind). These caller IDs are about to call over a carrier of this
# kind, which they did not before. A receiver returns why that can't be, as a sentence without its period, or "".
carrier_changing = Signal()
