"""Keep Python's garbage collector from searching, again and again, what lives as long as the run."""

import gc

# It searched after every 700 new objects, which cost every tenth second of a run, collection included. What has lived
# through one search nearly always lives as long as the run: to search it again was two fifths of all searching.
gc.set_threshold(50_000, 200, 100)


def pytest_collection_finish() -> None:
    """Take what is imported and collected out of the collector's sight. What tests make is collected as ever."""
    gc.collect()
    gc.freeze()
