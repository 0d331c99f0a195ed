from typing import Any

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "reports"
    verbose_name = "Reports"

    def ready(self) -> None:
        from campaigns.signals import calls_ended, campaigns_moved
        from dialer.signals import attempts_ended
        from reports import webhooks

        def of_attempts(attempts: Any, **_: object) -> None:
            webhooks.tell_of_attempts(attempts)

        def of_calls(campaigns: Any, call_ids: Any, **_: object) -> None:
            webhooks.tell_of_calls(campaigns, call_ids)

        def of_campaigns(campaigns: Any, to: str, at: Any, **_: object) -> None:
            webhooks.tell_of_campaigns(campaigns, to, at)

        # Plain functions would be collected as garbage: receivers are held weakly unless told otherwise.
        attempts_ended.connect(of_attempts, weak=False, dispatch_uid="reports.tell_of_attempts")
        calls_ended.connect(of_calls, weak=False, dispatch_uid="reports.tell_of_calls")
        campaigns_moved.connect(of_campaigns, weak=False, dispatch_uid="reports.tell_of_campaigns")
