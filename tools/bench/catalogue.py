"""Every figure by the name that `--only` takes, in the order of the table.

The first are those that matter most: a run that comes to the end of its time leaves out the last.
"""

from collections.abc import Callable

from tools.bench import (
    attempts,
    campaign_get,
    channels_in_use,
    creating,
    csv_list,
    dispatch_cost,
    dispatch_rules,
    ending,
    events,
    fair_share,
    first_ring,
    more_workers,
    now_page,
    registry,
    rehearsal,
    report,
    requests_while_dialing,
    restart,
    sip_calls,
    soak,
    starting,
    statements,
    twiml,
)
from tools.bench.figures import Row
from tools.bench.run import Run

FIGURES: dict[str, Callable[[Run], list[Row]]] = {
    module.NAME: module.measure
    for module in (
        attempts,
        channels_in_use,
        csv_list,
        report,
        ending,
        dispatch_cost,
        requests_while_dialing,
        restart,
        soak,
        first_ring,
        events,
        starting,
        creating,
        campaign_get,
        now_page,
        statements,
        fair_share,
        more_workers,
        twiml,
        sip_calls,
        dispatch_rules,
        rehearsal,
        registry,
    )
}
