"""The API's page agrees with the code on what may be done to a campaign, and when."""

from campaigns import lifecycle
from tests.docs.pages import ROOT, section, table

PAGE = ROOT / "docs" / "user" / "api.md"


def test_the_table_of_actions_is_that_of_the_lifecycle():
    rows = table(section(PAGE, "Change"))
    told = {action.strip("`"): set(states.split(", ")) for action, states, _ in rows}
    assert told == {name: set(verb.allowed_from) for name, verb in lifecycle.ACTIONS.items()}
