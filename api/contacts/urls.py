"""Addresses of contacts, below an account."""

from django.urls import path

from api.contacts import views

urlpatterns = [
    path("contacts", views.ContactListView.as_view()),
    path("contacts/<str:contact_sid>", views.ContactDetailsView.as_view()),
]
