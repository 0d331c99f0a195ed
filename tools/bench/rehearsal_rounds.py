"""`python -m tools.bench.rehearsal_rounds NUMBERS`: rehearse a campaign of so many, in an account with rules.

Prints on how many days it calls, and the seconds that it takes.
"""

import sys
import time
from datetime import timedelta

import django

django.setup()

from django.db import connection  # noqa: E402 -- models can be imported now
from django.utils import timezone  # noqa: E402

from accounts import audit  # noqa: E402
from accounts.models import Account, CallerId, Trunk  # noqa: E402
from campaigns import lifecycle  # noqa: E402
from campaigns.models import Call, Campaign, Flow  # noqa: E402
from dialer import rehearsal  # noqa: E402
from tools.bench.system import clone, number, number_sql  # noqa: E402

# Calls of three quarters of a minute, one and a half for each number, in ten and a half hours a day.
DAYS, SECONDS_OF_A_DAY, SECONDS_OF_A_NUMBER = 5, 10.5 * 3600, 70


def main(numbers: int) -> None:
    campaign = _campaign(numbers)
    began = time.monotonic()
    found = rehearsal.rehearse(rehearsal.of_campaign(campaign, timezone.now()))
    took = time.monotonic() - began
    print(len(found.days), took)


def _campaign(numbers: int) -> Campaign:
    channels = max(1, round(numbers * SECONDS_OF_A_NUMBER / (DAYS * SECONDS_OF_A_DAY)))
    account = Account.objects.create(
        sid="bench",
        channels=channels,
        starts_per_minute=10_000,
        rules=["in-service"],
        number_caps=["3 attempts in 1 day"],
    )
    trunk = Trunk.objects.create(name="simulated", carrier="simulated")
    caller_id = CallerId.objects.create(account=account, number="+918012345678", trunk=trunk)
    flow = Flow.objects.create(account=account, flow_id="1", document={"steps": [{"hangup": True}]})
    now = timezone.now()
    campaign = lifecycle.create(
        account,
        actor=audit.SYSTEM,
        numbers=[number(0)],
        now=now,
        end_at=now + timedelta(days=2 * DAYS),
        caller_id=caller_id,
        caller_id_given=caller_id.number,
        flow=flow,
        flow_url="http://my.exotel.com/bench/exoml/start_voice/1",
        number_of_retries=2,
        retry_interval_mins=60,
        retry_on_status=["busy", "no-answer", "failed"],
    )
    connection.ensure_connection()
    clone(connection.connection, "campaigns_call", Call.objects.get().pk, numbers - 1, number=number_sql(1))
    return campaign


if __name__ == "__main__":
    main(int(sys.argv[1]))
