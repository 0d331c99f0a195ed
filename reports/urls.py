from django.urls import path

from reports import views

urlpatterns = [path("reports/<hex:campaign_id>.csv", views.report)]
