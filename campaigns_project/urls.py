"""Every address of this server."""

from django.contrib import admin
from django.urls import include, path

from campaigns_project import health

admin.site.site_header = admin.site.site_title = "Trunkline"
admin.site.index_title = "Campaigns and calls"

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("admin/", admin.site.urls),
    path("", include("dialer.urls")),
    path("", include("reports.urls")),
    path("", include("api.urls")),
]

handler400 = "api.errors.bad_request"
handler404 = "api.errors.not_found"
handler500 = "api.errors.server_error"
