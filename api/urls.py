"""Exotel's addresses."""

from django.urls import include, path

urlpatterns = [
    path("v2/accounts/<str:account_sid>/", include("api.campaigns.urls")),
    # Before contacts: contacts/csv-upload would be read as the sid of a contact.
    path("v2/accounts/<str:account_sid>/", include("api.csv_uploads.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.contacts.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.lists.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.webhooks.urls")),
    path("v2_beta/Accounts/<str:account_sid>/", include("api.exophones.urls")),
]
