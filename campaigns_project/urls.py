"""The URLs of this server."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView

from accounts.passwords import ChoosePassword
from api import openapi_page
from campaigns_project import health, metrics

admin.autodiscover()
admin.site.site_header = admin.site.site_title = "Trunkline"
admin.site.index_title = "Campaigns and calls"

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics.metrics),
    path("admin/password/<uidb64>/<token>/", ChoosePassword.as_view(), name="choose_password"),
    path("admin/", admin.site.urls),
    path("openapi.json", openapi_page.openapi, name="openapi"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="openapi")),
    path("redoc/", SpectacularRedocView.as_view(url_name="openapi", template_name="api/redoc.html")),
    path("", include("dialer.urls")),
    path("", include("reports.urls")),
    path("", include("api.urls")),
]

handler400 = "campaigns_project.error_pages.bad_request"
handler403 = "campaigns_project.error_pages.permission_denied"
handler404 = "campaigns_project.error_pages.not_found"
handler500 = "campaigns_project.error_pages.server_error"
