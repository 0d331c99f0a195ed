"""The limits that hold a campaign back: numbers and channels that are busy, and the pace of call starts."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q
from redis.exceptions import RedisError

from campaigns import removal
from campaigns.call_states import DO_NOT_CALL
from campaigns.models import Call, Campaign
from dialer import channels, gate, number_gate
from dialer.channels import NO_CAP, Scope
from dialer.diagnosis.reasons import REDIS_IS_AWAY, Reason, calls_text, counted
from dialer.models import CallAttempt

# The most campaigns of the account that are named as holders of a limit, the largest first.
MOST_NAMED = 3


# The most calls that are counted to say how many wait for their number, or are held by a rule for it.
MOST_COUNTED = 1000

# Why calls are held, by the rules of dialer.number_gate.
HELD_BECAUSE = {
    number_gate.HOURS: "outside the hours of the people called",
    number_gate.CAP: "their numbers have had as many calls as they may",
    number_gate.QUIET: "their numbers are left alone for a time after a conversation or a refusal",
    number_gate.GAP: "the last call to their number was too short a time ago",
    number_gate.BUSY: "a flow has connected somebody to their number",
}

# Why numbers are never dialed, by the rules that end their calls.
NEVER_BECAUSE: Mapping[str, str] = {
    DO_NOT_CALL: "on the do-not-call list",
    number_gate.NOT_CALLED: "of a country or a kind that the account does not call",
    number_gate.NO_CONSENT: "without the consent that a rule demands",
    number_gate.NO_COMMON_HOURS: "with hours that never meet the account's",
    number_gate.QUIET: "left alone for ever, as a rule demands",
    removal.TAKEN_OUT: "taken out of the campaign",
    removal.CONTACT_DELETED: "of contacts that were deleted",
}


def limits(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    """Yield what holds calls back: busy numbers, scopes without a free channel, paces without a start to spare."""
    yield from _busy_numbers(campaign, now)
    try:
        yield from _full_scopes(campaign)
        yield from _pace(campaign, now)
    except RedisError:
        yield REDIS_IS_AWAY


def held(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    """Yield how many calls each rule for numbers holds, and until when the first of them. One query, by an index."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT rule.code, held.calls, held.until FROM unnest(%s::text[]) WITH ORDINALITY AS rule(code, position)
            CROSS JOIN LATERAL (
                SELECT count(*) AS calls, min(next_attempt_at) AS until FROM (
                    SELECT next_attempt_at FROM campaigns_call
                    WHERE campaign_id = %s AND campaigns_call.rule = rule.code AND next_attempt_at > %s
                        AND campaigns_call.rule <> ''
                    ORDER BY next_attempt_at LIMIT %s
                ) AS first
            ) AS held WHERE held.calls > 0 ORDER BY rule.position
            """,
            [list(HELD_BECAUSE), campaign.pk, now, MOST_COUNTED + 1],
        )
        for code, count, until in cursor.fetchall():
            more = "more than " if count > MOST_COUNTED else ""
            calls = f"{more}{calls_text(min(count, MOST_COUNTED))}"
            first = f", the first until {gate.clock(until, campaign)}"
            yield Reason(code, f"{calls} held: {HELD_BECAUSE[code]}{first}", until)


def never_dialed(campaign: Campaign) -> Iterator[Reason]:
    """Yield how many numbers rules kept from ever being dialed, and which rules. One query, by an index."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT rule, count(*) FROM (
                SELECT rule FROM campaigns_call WHERE campaign_id = %s AND status IN ('failed', 'canceled')
                    AND attempts_made = 0 AND rule <> '' ORDER BY ended_at, id LIMIT %s
            ) AS first GROUP BY rule ORDER BY count(*) DESC, rule
            """,
            [campaign.pk, MOST_COUNTED + 1],
        )
        counts: dict[str, int] = dict(cursor.fetchall())
    total = sum(counts.values())
    if total > MOST_COUNTED:
        which = ", ".join(NEVER_BECAUSE.get(rule, rule) for rule in counts)
        yield Reason("never-dialed", f"more than {counted(MOST_COUNTED, 'number')} never dialed: {which}")
    elif total:
        which = ", ".join(f"{count:,} {NEVER_BECAUSE.get(rule, rule)}" for rule, count in counts.items())
        yield Reason("never-dialed", f"{counted(total, 'number')} never dialed: {which}")


def busy_numbers(account_id: int, numbers: Iterable[str]) -> set[str]:
    """Return those of the numbers that an attempt of the account is under way for."""
    under_way = CallAttempt.objects.filter(
        account=account_id, callee__in=list(numbers), status__in=CallAttempt.UNFINISHED
    )
    return set(under_way.values_list("callee", flat=True))


def _busy_numbers(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    waits = Q(status__in=[Call.Status.CREATED, Call.Status.RETRYING])
    is_due = Q(status=Call.Status.CREATED, next_attempt_at=None) | (waits & Q(next_attempt_at__lte=now))
    under_way = CallAttempt.objects.filter(
        account=campaign.account_id, callee=OuterRef("number"), status__in=CallAttempt.UNFINISHED
    )
    waiting = campaign.calls.filter(is_due).filter(Exists(under_way))[: MOST_COUNTED + 1].count()
    if waiting:
        more = "more than " if waiting > MOST_COUNTED else ""
        calls = calls_text(min(waiting, MOST_COUNTED))
        yield Reason("number-busy", f"{more}{calls} waiting for another call to the same number to end")


def _full_scopes(campaign: Campaign) -> Iterator[Reason]:
    capped = [scope for scope in channels.scopes_of(campaign.account, campaign.caller_id) if scope.cap < NO_CAP]
    for scope, held in channels.held(capped).items():
        if held >= scope.cap:
            yield _full(campaign, scope, held)


def _full(campaign: Campaign, scope: Scope, held: int) -> Reason:
    """Tell who has the channels. The size of a trunk, its name and what others do there are for the operator alone."""
    number, trunk, code = campaign.caller_id.number, campaign.caller_id.trunk, f"{scope.kind}-full"
    by, own = _held_by(campaign, scope)
    if scope.kind != "trunk":
        where = f" of the caller ID {number}" if scope.kind == "caller-id" else ""
        return Reason(code, ", ".join([f"{held} of {scope.cap} channels{where} busy", *by]))
    others = held - own
    by += ["the others by other accounts" if own else "by other accounts"] if others > 0 else []
    detail = f"{held} of {scope.cap} channels of {trunk.name} busy, {max(others, 0)} by other accounts"
    return Reason(code, ", ".join([f"all channels of the trunk of {number} busy", *by]), detail=detail)


def _held_by(campaign: Campaign, full: Scope) -> tuple[list[str], int]:
    """Return `41 by “Renewals”`, `12 by this one` and the like for the account's own campaigns, and their sum."""
    sharing = {
        "account": Q(),
        "trunk": Q(trunk=campaign.caller_id.trunk_id),
        "caller-id": Q(campaign__caller_id=campaign.caller_id_id),
    }
    # The leases are those of the attempts in flight.
    in_flight = CallAttempt.objects.filter(
        sharing[full.kind], campaign__account=campaign.account_id, status__in=CallAttempt.UNFINISHED
    )
    by_campaign = in_flight.values_list("campaign_id", "campaign__name").annotate(up=Count("id"))
    counts = list(by_campaign.order_by("-up", "campaign_id"))
    by = [f"{count} by {'this one' if pk == campaign.pk else f'“{name}”'}" for pk, name, count in counts[:MOST_NAMED]]
    if rest := sum(count for _, _, count in counts[MOST_NAMED:]):
        by.append(f"{rest} by other campaigns")
    return by, sum(count for _, _, count in counts)


def _pace(campaign: Campaign, now: datetime) -> Iterator[Reason]:
    for bucket, wait in channels.next_starts(channels.buckets_of(campaign)).items():
        if wait > 0:
            pace = f"the {bucket.kind}'s pace is {counted(bucket.per_minute, 'start')} a minute"
            yield Reason(f"{bucket.kind}-pace", f"{pace}: the next in {wait:.1f} s", now + timedelta(seconds=wait))
