"""Addresses of the do-not-call list, below an account."""

from django.urls import path

from api.do_not_call import views

urlpatterns = [
    path("do-not-call", views.DoNotCallListView.as_view()),
    path("do-not-call/<str:number>", views.DoNotCallNumberView.as_view()),
]
