"""What an account is set up with, and what it still lacks before its first campaign. A constant number of queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from accounts.calling_hours import MIDNIGHT, WEEKDAYS, Span, week_text
from accounts.calling_rules import Rule, presets, time_text
from accounts.models import Account, ApiKey, CallerId
from campaigns.models import Campaign, Flow
from contacts import lists
from contacts.models import ContactList, CsvUpload
from core.ids import wire_id
from dialer import gate

# Rows of each kind that the page shows, the newest first; the admin has the others.
MOST_SHOWN = 50
# Each list's entries are counted, up to half a million.
MOST_LISTS = 25
# How far days without calls are looked for.
AHEAD = timedelta(days=90)
SANDBOX = "sandbox"


@dataclass(frozen=True)
class Step:
    """Something that an account needs. what: it is so, or what to do."""

    name: str
    is_done: bool
    what: str
    anchor: str


@dataclass(frozen=True)
class Day:
    """A day of the coming week. hours: in words; "" where nobody is called."""

    day: date
    name: str
    hours: str


@dataclass(frozen=True)
class Line:
    """A caller ID, and whether calls from it go out. problem: in words; "" where there is none."""

    caller_id: CallerId
    problem: str


@dataclass(frozen=True)
class Key:
    key: ApiKey
    works: bool


@dataclass(frozen=True)
class Listed:
    """A list with its entries, and its last upload."""

    row: ContactList
    sid: str
    entries: int
    upload: CsvUpload | None


@dataclass(frozen=True)
class RuleSet:
    """A rule set of the account in words."""

    name: str
    title: str
    said: Sequence[str]


@dataclass(frozen=True)
class SetUp:
    """All of the page.

    Attributes:
        closed: the next days on which nobody is called, though their weekday is open.
    """

    account: Account
    steps: Sequence[Step]
    week: Sequence[Day]
    closed: Sequence[date]
    caller_ids: Sequence[Line]
    keys: Sequence[Key]
    flows: Sequence[str]
    lists: Sequence[Listed]
    rules: Sequence[RuleSet]

    @property
    def is_complete(self) -> bool:
        return all(step.is_done for step in self.steps)


def look(account: Account, now: datetime) -> SetUp:
    """Look at an account."""
    lines, keys, listed = _lines(account, now), _keys(account, now), _lists(account)
    flows = Flow.objects.filter(account=account).order_by("-pk")
    return SetUp(
        account=account,
        steps=_steps(account, lines, keys, listed, now),
        week=_week(account, now),
        closed=_closed(account, now),
        caller_ids=lines,
        keys=keys,
        flows=list(flows.values_list("flow_id", flat=True)[:MOST_SHOWN]),
        lists=listed,
        rules=[_rule_set(name) for name in account.rules],
    )


def _steps(
    account: Account, lines: Sequence[Line], keys: Sequence[Key], listed: Sequence[Listed], now: datetime
) -> list[Step]:
    dials = [line for line in lines if line.caller_id.is_active]
    well = [line for line in dials if not line.problem]
    opening = account.calling_hours.opening(now)
    works = sum(1 for key in keys if key.works)
    filled = [one for one in listed if one.entries]
    has_called = Campaign.objects.filter(account=account).exists()
    return [
        Step("Caller ID", bool(well), _told_of(dials, well), "caller-ids"),
        Step("Hours", opening is not None, str(account.calling_hours) if opening else "they never open", "hours"),
        Step("API key", bool(works), f"{works} in use" if works else "make one, for programs that call", "keys"),
        Step("A first list", bool(filled), f"{len(listed)} there" if filled else "upload a file", "lists"),
        Step("A first campaign", has_called, "made" if has_called else "make one", "campaign"),
    ]


def _told_of(dials: Sequence[Line], well: Sequence[Line]) -> str:
    if well:
        return ", ".join(line.caller_id.number for line in well[:3])
    return dials[0].problem if dials else "none is active: the server's administrator adds one"


# Hours ---------------------------------------------------------------------------------------------------------------


def _week(account: Account, now: datetime) -> list[Day]:
    hours, today = account.calling_hours, now.astimezone(account.zone).date()
    days = [today + timedelta(days=ahead) for ahead in range(7)]
    return [Day(day, WEEKDAYS[day.weekday()], ", ".join(map(_span, hours.spans_of(day)))) for day in days]


def _span(span: Span) -> str:
    opens, closes = span
    return f"{opens:%H:%M} to {'24:00' if closes == MIDNIGHT else closes.strftime('%H:%M')}"


def _closed(account: Account, now: datetime) -> list[date]:
    hours, today = account.calling_hours, now.astimezone(account.zone).date()
    if not (hours.holidays_of or hours.closed_on):
        return []
    days = (today + timedelta(days=ahead) for ahead in range(AHEAD.days))
    return [day for day in days if hours.is_closed_on(day)]


# Rows ----------------------------------------------------------------------------------------------------------------


def _lines(account: Account, now: datetime) -> list[Line]:
    rows = CallerId.objects.filter(account=account).select_related("health", "trunk__health")
    rows = rows.defer("trunk__api_token", "trunk__signing_key").order_by("-is_active", "number")
    return [Line(row, _problem(row, account, now)) for row in rows[:MOST_SHOWN]]


def _problem(row: CallerId, account: Account, now: datetime) -> str:
    """Say what keeps calls from going out, without the names of trunks and the errors of carriers."""
    if not row.is_active:
        return "not active"
    for health, what in ((gate.health_of(row.trunk), "the trunk is down"), (gate.health_of(row), "calls from it fail")):
        if health and health.resting_until and health.resting_until > now:
            return f"{what}; tried again at {health.resting_until.astimezone(account.zone):%H:%M %Z}"
    return ""


def _keys(account: Account, now: datetime) -> list[Key]:
    rows = ApiKey.objects.filter(account=account).order_by("-created_at", "-pk")
    return [Key(row, row.works(now)) for row in rows[:MOST_SHOWN]]


def _lists(account: Account) -> list[Listed]:
    rows = list(ContactList.objects.filter(account=account).order_by("-created_at", "-pk")[:MOST_LISTS])
    counted = lists.sizes([row.pk for row in rows])
    uploads = CsvUpload.objects.filter(contact_list__in=rows)
    latest = uploads.order_by("contact_list", "-created_at", "-pk").distinct("contact_list")
    of_lists = {upload.contact_list_id: upload for upload in latest}
    return [Listed(row, wire_id(row.pk), counted[row.pk], of_lists.get(row.pk)) for row in rows]


# Rules in words ------------------------------------------------------------------------------------------------------


def _rule_set(name: str) -> RuleSet:
    preset = presets().get(name)
    if preset is None:
        return RuleSet(name, name, ["this version does not have this set, so that nobody is called: choose others"])
    said = [sentence for rule in preset.rules for sentence in _said(rule)]
    return RuleSet(name, preset.title, list(dict.fromkeys(said)))


def _said(rule: Rule) -> Iterator[str]:
    where = "".join(f" in {', '.join(sorted(places))}" for places in (rule.regions or rule.countries,) if places)
    since = f" from {rule.starts} on" if rule.starts else ""
    tail = f"{where}{since}"
    if rule.hours is not None:
        yield f"where they are, between {week_text(rule.hours)}{tail}"
    if rule.no_holidays:
        yield f"not on public holidays{tail}"
    for cap in rule.caps:
        yield f"at most {cap} with a number{tail}"
    for what, time in rule.quiet_after:
        yield f"{_quiet(what, time)}{tail}"
    if rule.needs_consent:
        yield f"only people who have consented to {rule.needs_consent.replace('-', ' ')}{tail}"
    if rule.rings_at_least:
        yield f"a phone rings for {rule.rings_at_least} s at least{tail}"


def _quiet(what: str, time: timedelta) -> str:
    length = time_text(time)
    return f"never after a {what}" if length == "forever" else f"not within {length} after a {what}"
