from django.apps import AppConfig


class DialerConfig(AppConfig):
    name = "dialer"
    verbose_name = "Dialer"

    def ready(self) -> None:
        from dialer import carriers, receivers  # noqa: F401 -- the decorators of receivers connect them

        carriers.register_all()
