from uuid import UUID

from django.urls import path, register_converter

from dialer import views


class HexUuid:
    """An id as it is written outside: 32 lower-case hex digits."""

    regex = "[0-9a-f]{32}"

    def to_python(self, value: str) -> UUID:
        return UUID(value)

    def to_url(self, value: UUID) -> str:
        return value.hex


register_converter(HexUuid, "hex")

urlpatterns = [
    path("carrier-events/<str:carrier>/<hex:attempt_id>", views.take_event),
    path("flows/<int:flow_pk>", views.hand_out_flow),
    path("campaign-texts/<hex:campaign_id>", views.hand_out_campaign_text),
    path("call-texts/<int:call_pk>", views.hand_out_call_text),
]

# What the addresses above begin with, and no other address of this server does.
CARRIERS_PATHS = tuple(f"/{each.pattern}".partition("<")[0] for each in urlpatterns)
