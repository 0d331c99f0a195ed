"""The report of a campaign: a CSV file with a line for every number, dialled or not.

PostgreSQL writes the CSV itself (COPY … TO STDOUT) and this process forwards the pieces, so memory stays flat and a
million lines cost little more than reading them. Why COPY and not a server-side cursor: docs/decisions/.
"""

from collections.abc import Iterator
from uuid import UUID

from django.db import connection

from campaigns.models import Campaign
from core.csv_formulas import neutral_sql

HEADER = (
    "number,name,status,last_outcome,attempts,call_sids,digits,duration,start_time,end_time,caller_id,custom_field,"
    "recording_url,reason\n"
)


def _local_time(expression: str) -> str:
    return f"to_char({expression} AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI:SS')"


_QUERY = f"""
    COPY (
        SELECT call.number, {neutral_sql("call.name")}, call.status, call.last_outcome, call.attempts_made,
            made.call_sids, {neutral_sql("made.digits")}, made.duration,
            {_local_time("made.start_time")}, {_local_time("made.end_time")},
            %(caller_id)s::text, {neutral_sql("%(custom_field)s::text")}, {neutral_sql("made.recording_url")},
            {neutral_sql("call.end_reason")}
        FROM campaigns_call AS call
        LEFT JOIN LATERAL (
            SELECT string_agg(replace(id::text, '-', ''), ' ' ORDER BY id) AS call_sids,
                string_agg(digits, ' ' ORDER BY id) FILTER (WHERE digits <> '') AS digits,
                coalesce(sum(duration_seconds), 0) AS duration,
                min(placing_at) AS start_time, max(ended_at) AS end_time,
                (array_agg(recording_url ORDER BY id DESC) FILTER (WHERE recording_url <> ''))[1] AS recording_url
            FROM dialer_callattempt WHERE call_id = call.id AND status <> 'canceled'
        ) AS made ON true
        WHERE call.campaign_id = %(campaign)s ORDER BY call.id
    ) TO STDOUT WITH (FORMAT csv)
"""  # noqa: S608 -- made of constants; every value is a parameter


def stream(campaign: Campaign) -> Iterator[bytes]:
    """Yield the report in pieces as PostgreSQL sends them. Times are the account's local time.

    campaign: with account, caller_id and custom_field loaded.
    """
    custom_field = getattr(campaign, "custom_field", None)
    params = {
        "campaign": campaign.pk,
        "caller_id": campaign.caller_id.number,
        "custom_field": custom_field.value if custom_field else "",
        "zone": campaign.account.time_zone,
    }
    yield HEADER.encode()
    with connection.cursor() as cursor, cursor.cursor.copy(_QUERY, params) as copy:
        yield from (bytes(piece) for piece in copy)


def file_name(campaign_id: UUID) -> str:
    return f"campaign-{campaign_id.hex}.csv"
