"""Exotel's addresses. The singular /campaign/<id>/call-details is how one of its pages writes it."""

from django.urls import path

from api import (
    contacts,
    contacts_schema,
    csv_upload,
    diagnosis,
    diagnosis_schema,
    exophones,
    lists,
    schema,
    views,
    webhook_deliveries,
    webhook_schema,
)

schema.describe()
contacts_schema.describe()
webhook_schema.describe()
diagnosis_schema.describe()

_account = "v2/accounts/<str:account_sid>"
_exophones = "v2_beta/Accounts/<str:account_sid>/IncomingPhoneNumbers"

urlpatterns = [
    path(f"{_account}/campaigns", views.CampaignListView.as_view()),
    path(f"{_account}/campaigns/<str:campaign_id>", views.CampaignView.as_view()),
    path(f"{_account}/campaigns/<str:campaign_id>/call-details", views.CallDetailsView.as_view()),
    path(f"{_account}/campaign/<str:campaign_id>/call-details", views.CallDetailsView.as_view()),
    path(f"{_account}/campaigns/<str:campaign_id>/diagnosis", diagnosis.DiagnosisView.as_view()),
    path(f"{_account}/contacts", contacts.ContactListView.as_view()),
    path(f"{_account}/contacts/csv-upload", csv_upload.CsvUploadView.as_view()),
    path(f"{_account}/contacts/<str:contact_sid>", contacts.ContactDetailsView.as_view()),
    path(f"{_account}/lists", lists.ListListView.as_view()),
    path(f"{_account}/lists/<str:list_sid>", lists.ListDetailsView.as_view()),
    path(f"{_account}/lists/<str:list_sid>/contacts", lists.ListEntriesView.as_view()),
    path(f"{_account}/lists/<str:list_sid>/contacts/<str:contact_sid>", lists.ListEntryView.as_view()),
    path(f"{_account}/csv-status/<str:upload_id>", csv_upload.CsvStatusView.as_view()),
    path(f"{_account}/csv-status/<str:upload_id>/rejected-rows", csv_upload.RejectedRowsView.as_view()),
    path(_exophones, exophones.ExoPhoneListView.as_view()),
    path(f"{_exophones}/<str:exophone_sid>", exophones.ExoPhoneDetailsView.as_view()),
    path(f"{_account}/webhook-deliveries", webhook_deliveries.WebhookDeliveriesView.as_view()),
    path(f"{_account}/webhook-deliveries/<str:webhook_id>", webhook_deliveries.WebhookDeliveryView.as_view()),
]
