"""Send fewer messages about the tests of a worker (`-n`) to the process that distributes them.

Xdist sends six for each of nine thousand tests, and serializing and reading three reports takes as long as many tests
do. Nobody reads the reports of a set-up and a teardown that went well, nor that a test begins, nor what a test that
passed has logged.
"""

from typing import Any

import pytest
from xdist.remote import WorkerInteractor

_interactor: Any = WorkerInteractor  # what is used of it has no promise to stay; xdist's version is pinned
_send_report = _interactor.pytest_runtest_logreport


@pytest.hookimpl
def _send_what_is_read(self: Any, report: pytest.TestReport) -> None:
    """Send a report, but of phases before and after the test only where they failed, or where they are listed."""
    options = self.config.option
    is_printed = {"P", "A"} & {*options.reportchars} or options.xmlpath
    if report.passed and not is_printed:
        report.sections = []  # what it has printed and logged
    if report.when == "call" or not report.passed or options.durations is not None or options.xmlpath:
        _send_report(self, report)


_interactor.pytest_runtest_logreport = _send_what_is_read
del _interactor.pytest_runtest_logstart
