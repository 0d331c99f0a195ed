from django.apps import AppConfig


class DialerConfig(AppConfig):
    name = "dialer"
    verbose_name = "Dialer"

    def ready(self) -> None:
        from campaigns.signals import work_due
        from dialer.messages import enqueue_dispatch

        def ring(account_ids: list[int], **_: object) -> None:
            enqueue_dispatch(account_ids)

        # A plain function would be collected as garbage: receivers are held weakly unless told otherwise.
        work_due.connect(ring, weak=False, dispatch_uid="dialer.ring_dispatch")
