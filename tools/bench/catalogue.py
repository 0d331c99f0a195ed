"""Every figure by the name that `--only` takes, in the order of the table."""

from collections.abc import Callable

from tools.bench import (
    attempts,
    campaign_get,
    channels_in_use,
    creating,
    csv_list,
    dispatch_cost,
    ending,
    events,
    fair_share,
    more_workers,
    report,
    requests_while_dialing,
    restart,
    sip_gateway,
    soak,
    starting,
    statements,
)
from tools.bench.figures import Row
from tools.bench.run import Run

FIGURES: dict[str, Callable[[Run], list[Row]]] = {
    module.NAME: module.measure
    for module in (
        attempts,
        channels_in_use,
        starting,
        creating,
        csv_list,
        report,
        campaign_get,
        dispatch_cost,
        statements,
        more_workers,
        fair_share,
        requests_while_dialing,
        events,
        ending,
        restart,
        sip_gateway,
        soak,
    )
}
