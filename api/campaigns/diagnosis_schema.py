"""The diagnosis of a campaign in the OpenAPI document."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers

from api.campaigns.diagnosis import MOST_CALLS, DiagnosisView
from api.http.openapi import STATES, Written, answer, component, count, item, moment, responses, text

Step = component("AttemptStep", status=text(), at=moment(), reason=text())
Attempt = component(
    "DiagnosedAttempt",
    call_sid=text("32 hexadecimal digits."),
    attempt_number=count("From 1; one that was given back leaves its number to the next."),
    status=text("claimed, placing, in-progress, unknown, or how it ended; canceled: given back, and nobody was rung."),
    reason=text(),
    history=Step(many=True),
)
DiagnosedCall = component(
    "DiagnosedCall",
    number=text("E.164."),
    status=text("created, in-progress, retrying, completed, failed or canceled."),
    summary=text("A sentence: how its attempts ended, and what comes next."),
    next_attempt_at=moment("Of the retry.", allow_null=True),
    attempts=Attempt(many=True, help_text="The latest, oldest first."),
)
Reason = component(
    "DiagnosisReason",
    code=text("For programs, such as outside-calling-hours."),
    message=text("For people."),
    until=moment("When this will have passed, where that is known.", allow_null=True),
)
CallCounts = component(
    "DiagnosisCalls",
    total=count(),
    due=count("To dial now."),
    up=count("With an attempt under way."),
    waiting_for_retry=count("Whose retry is not due yet."),
    ended=count(),
)
Diagnosis = component(
    "Diagnosis",
    campaign_sid=text(),
    status=serializers.ChoiceField(STATES),
    summary=text("One sentence."),
    reasons=Reason(many=True, help_text="What stops it comes first, then what slows it down."),
    calls=CallCounts(),
    last_placed_at=moment(allow_null=True),
    next_attempt_at=moment("When the next call can be dialled; null where nobody can tell.", allow_null=True),
    calls_to_number=DiagnosedCall(
        many=True, required=False, help_text=f"With number: the calls to it, at most {MOST_CALLS}."
    ),
)


def describe() -> None:
    """Attaches the description to the view."""
    number = OpenApiParameter("number", OpenApiTypes.STR, description="Tells of the calls to this number too.")
    extend_schema_view(
        get=extend_schema(
            operation_id="diagnose_campaign",
            parameters=[number],
            responses=responses(answer("DiagnosisRead", item("DiagnosisItem", Diagnosis), Written)),
            tags=["Campaigns"],
        )
    )(DiagnosisView)
