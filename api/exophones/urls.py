"""Addresses of ExoPhones, below an account of v2_beta."""

from django.urls import path

from api.exophones import views

urlpatterns = [
    path("IncomingPhoneNumbers", views.ExoPhoneListView.as_view()),
    path("IncomingPhoneNumbers/<str:exophone_sid>", views.ExoPhoneDetailsView.as_view()),
]
