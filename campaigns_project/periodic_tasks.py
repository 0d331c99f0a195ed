"""The ticks: tasks that beat sends over and over. To add one, add a line here and run `manage.py sync_periodic_tasks`.

django-celery-beat keeps them in its table, where an operator may change or stop them in the admin. A tick looks for
what is due and must be safe to run twice at once. Every queue needs one that comes at least five times within the
queue's MAX_SILENCE_SECONDS: a worker without tasks is taken for one that has stopped.
"""

from typing import NamedTuple


class Tick(NamedTuple):
    name: str  # in the admin
    task: str
    seconds: int  # from one message to the next


TICKS = (
    Tick("Start campaigns whose time has come", "campaigns.start_due", 1),
    Tick("End campaigns whose end has come", "campaigns.end_due", 1),
    Tick("Dial due calls", "dialer.dispatch_due", 1),
    Tick("Apply carriers' events", "dialer.settle", 1),
    Tick("Deliver webhooks", "webhooks.deliver", 1),
    Tick("Repair what crashes left behind", "dialer.recover", 5),
    Tick("Resume CSV uploads that have stopped", "contacts.resume_csv_uploads", 10),
    Tick("Make the calls of large campaigns", "campaigns.load_audiences", 5),
    Tick("Check that loaders take tasks", "contacts.loader_tick", 5),
    Tick("Add up the counts of calls", "campaigns.compact_tally", 5),
    Tick("Add up the calls of each account's days and hours", "dialer.compact_usage", 15),
    Tick("Delete old carrier events", "dialer.purge_inbox", 300),
    Tick("Delete campaigns that ended long ago", "retention.purge", 300),
    Tick("Delete old webhooks", "webhooks.purge", 3600),
    Tick("Delete old idempotency keys", "api.purge_idempotency_keys", 3600),
)
