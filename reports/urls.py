from django.urls import path

from core import url_converters  # noqa: F401 -- registers `hex`
from reports import recordings, views

urlpatterns = [
    path("reports/<hex:campaign_id>.csv", views.report),
    path("recordings/<hex:recording_id>.wav", recordings.hear),
]
