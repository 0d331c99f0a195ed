from django.apps import AppConfig


class SipGatewayConfig(AppConfig):
    name = "sipgateway"
    verbose_name = "SIP gateway"
