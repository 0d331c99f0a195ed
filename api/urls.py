"""Exotel's addresses. The singular /campaign/<id>/call-details is how one of its pages writes it."""

from django.urls import path

from api import schema, views

schema.describe()

_account = "v2/accounts/<str:account_sid>"

urlpatterns = [
    path(f"{_account}/campaigns", views.CampaignListView.as_view()),
    path(f"{_account}/campaigns/<str:campaign_id>", views.CampaignView.as_view()),
    path(f"{_account}/campaigns/<str:campaign_id>/call-details", views.CallDetailsView.as_view()),
    path(f"{_account}/campaign/<str:campaign_id>/call-details", views.CallDetailsView.as_view()),
]
