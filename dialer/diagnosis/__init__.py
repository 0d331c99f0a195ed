"""Why a campaign dials, or does not, and what has become of a call: sentences for people, codes for programs.

It reads and decides nothing. The rules are what the gate says, the limits are what the leases and the pace in Redis
say, and the rest is in the rows and their histories. A handful of queries, however many calls there are.
"""

from dialer.diagnosis.calls import MOST_ATTEMPTS, CallDiagnosis, Step, of_calls
from dialer.diagnosis.campaigns import NEEDED, Counts, Diagnosis, of_campaign
from dialer.diagnosis.reasons import Reason

__all__ = [
    "MOST_ATTEMPTS",
    "NEEDED",
    "CallDiagnosis",
    "Counts",
    "Diagnosis",
    "Reason",
    "Step",
    "of_calls",
    "of_campaign",
]
