"""Exotel's addresses."""

from django.urls import include, path

from api.campaigns import diagnosis_schema
from api.contacts import openapi as contacts_openapi
from api.http import openapi
from api.webhooks import openapi as webhooks_openapi

openapi.describe()
contacts_openapi.describe()
webhooks_openapi.describe()
diagnosis_schema.describe()

urlpatterns = [
    path("v2/accounts/<str:account_sid>/", include("api.campaigns.urls")),
    # Before contacts: contacts/csv-upload would be read as the sid of a contact.
    path("v2/accounts/<str:account_sid>/", include("api.csv_uploads.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.contacts.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.lists.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.webhooks.urls")),
    path("v2_beta/Accounts/<str:account_sid>/", include("api.exophones.urls")),
]
