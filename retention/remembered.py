"""Which campaigns the rules for numbers still count: a cap, a gap or a quiet time knows what is in the attempts alone.

To delete these would ring people again who were rung as often as they may be, or who refused. That of an account which
is not active stays too: it may be active again tomorrow.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from accounts.calling_rules import FOREVER, Rules, rules_of
from accounts.models import Account
from campaigns.models import Campaign
from dialer.models import CallAttempt
from dialer.past_calls import LONGEST_CALL


@dataclass(frozen=True)
class _Rules:
    """The rules that campaigns add to those of their account."""

    rules: tuple[str, ...]
    waived_rules: tuple[str, ...] = ()


def still_counted(now: datetime, leaving: Account | None = None) -> Q:
    """Return the condition of campaigns whose attempts count for a rule of their account or of its campaigns.

    Two queries. A rule that a later campaign brings does not know what was deleted before.

    Args:
        leaving: an account whose campaigns somebody deletes by its name. Where it is not active, nothing counts for it.
    """
    added: dict[int, set[str]] = defaultdict(set)
    for account_id, names in Campaign.objects.exclude(rules=[]).values_list("account_id", "rules").distinct():
        added[account_id] |= set(names)
    lasting: dict[timedelta, list[int]] = defaultdict(list)
    refused_for_ever: list[int] = []
    staying = Account.objects.exclude(pk=leaving.pk) if leaving and not leaving.is_active else Account.objects.all()
    for account in staying:
        rules = rules_of(account, _Rules(tuple(sorted(added[account.pk]))))
        for time in _times(rules):
            lasting[time].append(account.pk)
        if any(_is_found_by_wish(what, time) for what, time in rules.quiet_after.items()):
            refused_for_ever.append(account.pk)
    counted = Q(pk__in=[])
    for time, account_ids in lasting.items():
        # A call that was up when its campaign was canceled ended later.
        counted |= Q(account__in=account_ids, ended_at__gt=now - time - LONGEST_CALL)
    refused = CallAttempt.objects.filter(campaign=OuterRef("pk")).exclude(wish="")
    # The account first: the attempts of all others are not looked at.
    return counted | Q(account__in=refused_for_ever) & Q(Exists(refused))


def _times(rules: Rules) -> set[timedelta]:
    """Return for how long all attempts count. Of a rule set that this version has not, nobody knows."""
    quiet = {time for what, time in rules.quiet_after.items() if not _is_found_by_wish(what, time)}
    unknown = {FOREVER} if rules.unknown else set()
    return {rules.gap, *(cap.within for cap in rules.caps), *quiet, *unknown} - {timedelta()}


def _is_found_by_wish(what: str, time: timedelta) -> bool:
    """Tell whether a quiet time counts few attempts for ever, those with a wish, instead of all for a while."""
    return time >= FOREVER and what in CallAttempt.Wish.values
