"""Which campaigns the rules for numbers still count: a cap, a gap or a quiet time knows what is in the attempts alone.

To delete these would ring people again who were rung as often as they may be, or who refused. An account that is not
active calls nobody, so nothing of it is counted.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from accounts.calling_rules import FOREVER, rules_of
from accounts.models import Account
from campaigns.models import Campaign
from dialer.models import CallAttempt


@dataclass(frozen=True)
class _Rules:
    """The rules that campaigns add to those of their account."""

    rules: tuple[str, ...]
    waived_rules: tuple[str, ...] = ()


def still_counted(now: datetime) -> Q:
    """Return the condition of campaigns whose attempts count for a rule of their account or of its campaigns.

    Two queries. A rule that a later campaign brings does not know what was deleted before.
    """
    added: dict[int, set[str]] = defaultdict(set)
    for account_id, names in Campaign.objects.exclude(rules=[]).values_list("account_id", "rules").distinct():
        added[account_id] |= set(names)
    lasting: dict[timedelta, list[int]] = defaultdict(list)
    for account in Account.objects.filter(is_active=True):
        rules = rules_of(account, _Rules(tuple(sorted(added[account.pk]))))
        for time in rules.remembered:
            lasting[time].append(account.pk)
    counted = Q(pk__in=[])
    for time, account_ids in lasting.items():
        if time < FOREVER:
            counted |= Q(account__in=account_ids, ended_at__gt=now - time)
        else:
            refused = CallAttempt.objects.filter(campaign=OuterRef("pk")).exclude(wish="")
            counted |= Q(Exists(refused), account__in=account_ids)
    return counted
