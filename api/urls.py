"""Exotel's addresses."""

from django.urls import include, path

urlpatterns = [
    path("v2/accounts/<str:account_sid>/", include("api.campaigns.urls")),
    # Before contacts and the do-not-call list: csv-upload would be read as a sid, or as a number.
    path("v2/accounts/<str:account_sid>/", include("api.csv_uploads.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.contacts.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.do_not_call.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.lists.urls")),
    path("v2/accounts/<str:account_sid>/", include("api.webhooks.urls")),
    path("v2_beta/Accounts/<str:account_sid>/", include("api.exophones.urls")),
]
