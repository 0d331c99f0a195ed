"""Addresses of CSV uploads, below an account."""

from django.urls import path

from api.csv_uploads import views

urlpatterns = [
    path("contacts/csv-upload", views.CsvUploadView.as_view()),
    path("do-not-call/csv-upload", views.DoNotCallUploadView.as_view()),
    path("csv-status/<str:upload_id>", views.CsvStatusView.as_view()),
    path("csv-status/<str:upload_id>/rejected-rows", views.RejectedRowsView.as_view()),
]
