from django.urls import path

from core import url_converters  # noqa: F401 -- registers `hex`
from reports import views

urlpatterns = [path("reports/<hex:campaign_id>.csv", views.report)]
