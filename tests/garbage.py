"""Keep Python's garbage collector from searching, again and again, what lives as long as the run."""

import gc

# It searched after every 700 new objects, which cost every tenth second of a run, collection included.
gc.set_threshold(50_000, 20, 100)


def pytest_collection_finish() -> None:
    """Take what is imported and collected out of the collector's sight. What tests make is collected as ever."""
    gc.collect()
    gc.freeze()
