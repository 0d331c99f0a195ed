"""The report of a campaign: a CSV file with a line for every number, dialled or not.

PostgreSQL writes the CSV itself (COPY … TO STDOUT) and this process forwards the pieces, so memory stays flat and a
million lines cost little more than reading them. Why COPY and not a server-side cursor: docs/decisions/.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from django.db import connection

from campaigns.models import Campaign
from core import statement_time
from core.csv_formulas import neutral_sql

COLUMNS = (
    *("number", "name", "status", "last_outcome", "attempts", "call_sids", "digits", "duration", "start_time"),
    *("end_time", "caller_id", "custom_field", "recording_url", "reason", "transfers", "transfer_duration"),
)
# What is sent at once. PostgreSQL gives line after line, and each piece costs the web process a chunk and a send.
_PIECE_BYTES = 64 * 1024
# Characters of a text in a formula, at most: beyond that Excel takes the formula for a fault of the file.
_LONGEST_IN_A_FORMULA = 255


# Of the whole call, by the carrier, and those that its flow has made.
_RECORDINGS = "nullif(concat_ws(' ', nullif(made.recording_url, ''), recorded.urls), '')"


@dataclass(frozen=True)
class Format:
    """A way to write the report.

    Attributes:
        delimiter: between the cells.
        for_excel: begin with a byte-order mark, and keep what is made of digits as text.
    """

    delimiter: str = ","
    for_excel: bool = False


# By the `format` of a link. Excel cuts a file at commas or at semicolons by the country that its computer is set to.
FORMATS = {
    "csv": Format(),
    "excel": Format(for_excel=True),
    "excel-semicolon": Format(for_excel=True, delimiter=";"),
}
PLAIN = FORMATS["csv"]


def stream(campaign: Campaign, written_as: Format = PLAIN) -> Iterator[bytes]:
    """Yield the report in pieces while PostgreSQL sends its lines. Times are the account's local time with its offset.

    campaign: with account, caller_id and custom_field loaded.
    """
    custom_field = getattr(campaign, "custom_field", None)
    params = {
        "campaign": campaign.pk,
        "caller_id": campaign.caller_id.number,
        "custom_field": custom_field.value if custom_field else "",
        "zone": campaign.account.time_zone,
    }
    header = written_as.delimiter.join(COLUMNS) + "\n"
    piece = bytearray(header.encode("utf-8-sig" if written_as.for_excel else "utf-8"))
    query = _query(written_as)
    with statement_time.unlimited(), connection.cursor() as cursor, cursor.cursor.copy(query, params) as copy:
        for line in copy:
            piece += line
            if len(piece) >= _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
    yield bytes(piece)


def file_name(campaign_id: UUID) -> str:
    return f"campaign-{campaign_id.hex}.csv"


@cache
def _query(written_as: Format) -> str:
    ids, text = (_ids_for_excel, _text_for_excel) if written_as.for_excel else (_as_it_is, neutral_sql)
    return f"""
        COPY (
            SELECT {ids("call.number")}, {text("call.name")}, call.status, call.last_outcome, call.attempts_made,
                {ids("made.call_sids")}, {text("made.digits")}, made.duration,
                {_local_time("made.start_time")}, {_local_time("made.end_time")},
                {ids("%(caller_id)s::text")}, {text("%(custom_field)s::text")}, {neutral_sql(_RECORDINGS)},
                {neutral_sql("call.end_reason")}, {text("other.legs")}, other.duration
            FROM campaigns_call AS call
            LEFT JOIN LATERAL (
                SELECT string_agg(replace(id::text, '-', ''), ' ' ORDER BY id) AS call_sids,
                    string_agg(digits, ' ' ORDER BY id) FILTER (WHERE digits <> '') AS digits,
                    coalesce(sum(duration_seconds), 0) AS duration,
                    min(placing_at) AS start_time, max(ended_at) AS end_time,
                    (array_agg(recording_url ORDER BY id DESC) FILTER (WHERE recording_url <> ''))[1] AS recording_url
                FROM dialer_callattempt WHERE call_id = call.id AND status <> 'canceled'
            ) AS made ON true
            LEFT JOIN LATERAL (
                SELECT string_agg(one.url, ' ' ORDER BY one.recorded_at) AS urls
                FROM dialer_callattempt AS attempt JOIN dialer_recording AS one ON one.attempt_id = attempt.id
                WHERE attempt.call_id = call.id AND (SELECT EXISTS (SELECT FROM dialer_recording))
            ) AS recorded ON true
            LEFT JOIN LATERAL (
                SELECT string_agg(
                        coalesce(nullif(leg.rule, ''), nullif(leg.outcome, ''), 'in-progress') || ':' || leg.number,
                        ' ' ORDER BY leg.id
                    ) AS legs, coalesce(sum(leg.talk_seconds), 0) AS duration
                FROM dialer_callattempt AS attempt JOIN dialer_transfer AS leg ON leg.attempt_id = attempt.id
                -- Where nobody is connected to anybody, as on most servers, nothing is looked for.
                WHERE attempt.call_id = call.id AND (SELECT EXISTS (SELECT FROM dialer_transfer))
            ) AS other ON true
            WHERE call.campaign_id = %(campaign)s ORDER BY call.id
        ) TO STDOUT WITH (FORMAT csv, DELIMITER '{written_as.delimiter}')
    """  # noqa: S608 -- made of constants; every value is a parameter


def _as_it_is(expression: str) -> str:
    return expression


def _ids_for_excel(expression: str) -> str:
    """Return SQL for a number or ids as a formula that is a text. Null stays null."""
    return f"'=\"' || {expression} || '\"'"


def _text_for_excel(expression: str) -> str:
    """Return SQL for a text, as such a formula where Excel could take it for a number or a date."""
    text = neutral_sql(expression)
    is_safe = f"{expression} ~ '[0-9]' AND {expression} !~ '[\"\\r\\n]' AND length({text}) <= {_LONGEST_IN_A_FORMULA}"
    return f"CASE WHEN {is_safe} THEN {_ids_for_excel(text)} ELSE {text} END"


def _local_time(expression: str) -> str:
    """Return SQL that writes `2026-10-25T02:30:00+02:00`, as core.times.rfc3339 does."""
    local = f"{expression} AT TIME ZONE %(zone)s"
    offset = f"({local} - {expression} AT TIME ZONE 'UTC')"
    sign = f"CASE WHEN {offset} < interval '0' THEN '-' ELSE '+' END"
    # to_char writes a minus before each part of a negative interval.
    size = f"to_char(greatest({offset}, -{offset}), 'HH24:MI')"
    return f"to_char({local}, 'YYYY-MM-DD\"T\"HH24:MI:SS') || {sign} || {size}"
