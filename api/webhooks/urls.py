"""Addresses of webhook deliveries, below an account."""

from django.urls import path

from api.webhooks import views

urlpatterns = [
    path("webhook-deliveries", views.WebhookDeliveriesView.as_view()),
    path("webhook-deliveries/<str:webhook_id>", views.WebhookDeliveryView.as_view()),
]
