"""The architecture page has the layers of import-linter in their order, and every signal of an app."""

import tomllib
from importlib import import_module

import pytest
from django.dispatch import Signal

from tests.docs.pages import ROOT, section, table

PAGE = ROOT / "docs" / "developer" / "architecture.md"


def test_the_layers_are_those_that_import_linter_holds():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    # The layers within a package have a contract of their own.
    contracts = [contract["layers"] for contract in linter["contracts"] if contract["type"] == "layers"]
    [layers] = [layers for layers in contracts if set(layers) <= set(linter["root_packages"])]
    told = [row[0].strip("`/") for row in table(section(PAGE, "The layers"))]
    assert told == [*layers, "sandbox"]
    assert set(told) == set(linter["root_packages"])


@pytest.mark.parametrize("app", ["contacts", "campaigns", "dialer"])
def test_every_signal_of_the_app_is_listed(app):
    signals = import_module(f"{app}.signals")
    sent = {f"{app}.signals.{name}" for name, value in vars(signals).items() if isinstance(value, Signal)}
    told = {row[0].strip("`") for row in table(section(PAGE, "Signals"))}
    assert sent == {name for name in told if name.startswith(f"{app}.")}
