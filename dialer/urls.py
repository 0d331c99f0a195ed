from django.urls import path

from core import url_converters  # noqa: F401 -- registers `hex`
from dialer import passthru, twiml_views, views

urlpatterns = [
    path("carrier-events/<str:carrier>/<hex:attempt_id>", views.take_event),
    path("twiml/<hex:attempt_id>", twiml_views.next_steps),
    path("twiml/<hex:attempt_id>/recording", twiml_views.recording_made),
    path("twiml/<hex:attempt_id>/error", twiml_views.document_not_read),
    path("passthru/<int:trunk_pk>", passthru.take_keys),
    path("flows/<int:flow_pk>", views.hand_out_flow),
    path("campaign-texts/<hex:campaign_id>", views.hand_out_campaign_text),
    path("call-texts/<int:call_pk>", views.hand_out_call_text),
]

# How the addresses above begin, and no other address of this server.
CARRIERS_PATHS = tuple(dict.fromkeys(f"/{route.pattern}".partition("<")[0] for route in urlpatterns))
