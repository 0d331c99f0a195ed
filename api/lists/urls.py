"""Addresses of lists of contacts, below an account."""

from django.urls import path

from api.lists import views

urlpatterns = [
    path("lists", views.ListListView.as_view()),
    path("lists/<str:list_sid>", views.ListDetailsView.as_view()),
    path("lists/<str:list_sid>/contacts", views.ListEntriesView.as_view()),
    path("lists/<str:list_sid>/contacts/<str:contact_sid>", views.ListEntryView.as_view()),
]
