"""Addresses of campaigns, below an account. One page of Exotel's documentation writes /campaign/<id>/call-details."""

from django.urls import path

from api.campaigns import call_details, diagnosis, people, rehearsals, views

urlpatterns = [
    path("campaigns", views.CampaignListView.as_view()),
    path("campaigns/rehearsal", rehearsals.RehearsalView.as_view()),
    path("campaigns/<str:campaign_id>", views.CampaignView.as_view()),
    path("campaigns/<str:campaign_id>/call-details", call_details.CallDetailsView.as_view()),
    path("campaign/<str:campaign_id>/call-details", call_details.CallDetailsView.as_view()),
    path("campaigns/<str:campaign_id>/calls/cancel", people.CancelCallsView.as_view()),
    path("campaigns/<str:campaign_id>/again", people.AgainView.as_view()),
    path("campaigns/<str:campaign_id>/diagnosis", diagnosis.DiagnosisView.as_view()),
    path("campaigns/<str:campaign_id>/forecast", rehearsals.ForecastView.as_view()),
]
