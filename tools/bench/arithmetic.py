"""The arithmetic of the figures, without anything that measures."""

from collections import deque
from collections.abc import Iterator, Sequence

Span = tuple[float, float]
"""When a call was up: its start and its end, in seconds of one clock."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share (0 to 1) of the values does not exceed: the nearest rank."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(int(rank), 1) - 1]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def steady_rate(counted: Sequence[tuple[float, float]], low: float = 0.1, high: float = 0.9) -> float:
    """Return the rate per second in the middle of a run, between the shares `low` and `high` of what was done.

    Args:
        counted: (seconds, done so far), in order. The start and the end of the run are left out.
    """
    total = counted[-1][1]
    began = next(point for point in counted if point[1] >= low * total)
    ended = next(point for point in counted if point[1] >= high * total)
    if ended[0] <= began[0]:
        raise ValueError("too few were counted to tell a rate")
    return (ended[1] - began[1]) / (ended[0] - began[0])


def live(spans: Sequence[Span]) -> Iterator[tuple[float, int]]:
    """Yield the moments of change, each with the number of calls up from then on.

    A call that ends as another starts makes room for it first.
    """
    changes = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    up = 0
    for moment, change in changes:
        up += change
        yield moment, up


def mean_live(spans: Sequence[Span], since: float, until: float) -> float:
    """Return the mean number of calls up between the two moments, weighted by time."""
    if until <= since:
        raise ValueError("there is no time between the two moments")
    seconds = sum(max(0.0, min(end, until) - max(start, since)) for start, end in spans)
    return seconds / (until - since)


def most_live(spans: Sequence[Span]) -> int:
    return max((up for _, up in live(spans)), default=0)


def busy_time(spans: Sequence[Span], cap: int) -> Span:
    """Return the time in which work was waiting: from the first moment with all `cap` channels taken to the last start.

    If they were never all taken, it begins one longest call after the first start: by then a dialer that keeps up has
    filled them.
    """
    first = min(start for start, _ in spans)
    ramp = first + max(end - start for start, end in spans)
    full = next((moment for moment, up in live(spans) if up >= cap), ramp)
    return min(full, ramp), max(start for start, _ in spans)


def freed_to_next(spans: Sequence[Span], since: float, until: float) -> list[float]:
    """Return the seconds from each end within the time to the start that took its place: first freed, first taken."""
    # As in `live`, an end comes before a start of the same moment.
    changes = sorted([(start, 1) for start, _ in spans] + [(end, 0) for _, end in spans])
    free: deque[float] = deque()
    waits = []
    for moment, is_start in changes:
        if not since < moment <= until:
            continue
        if not is_start:
            free.append(moment)
        elif free:
            waits.append(moment - free.popleft())
    return waits
