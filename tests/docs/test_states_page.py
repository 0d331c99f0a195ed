"""The pages about states say what the code does: exactly the legal moves, and every state that a client sees."""

import pytest

from campaigns import call_states, campaign_states
from campaigns.models import Call, Campaign
from dialer import attempt_states
from reports import stats
from tests.docs.pages import ROOT, section, table

MOVES = ROOT / "docs" / "developer" / "states.md"
SEEN = ROOT / "docs" / "user" / "states.md"


@pytest.mark.parametrize(
    ("heading", "legal"),
    [
        ("Campaign", campaign_states.LEGAL),
        ("Call", call_states.LEGAL),
        ("Attempt", attempt_states.LEGAL),
    ],
)
def test_the_table_has_exactly_the_legal_moves(heading, legal):
    told = [(before, after) for before, afters, *_ in table(section(MOVES, heading)) for after in afters.split(", ")]
    assert len(told) == len(set(told)), "a move stands in two rows"
    assert set(told) == {(str(before), str(after)) for before, afters in legal.items() for after in afters}


def test_every_state_of_a_campaign_is_explained_as_the_wire_spells_it():
    explained = [row[0] for row in table(section(SEEN, "Campaign"))]
    assert [word.lower() for word in explained] == [status.replace("-", "") for status in Campaign.Status.values]


def test_every_end_of_a_number_and_every_key_of_its_stats_is_explained():
    rows = table(section(SEEN, "Number"))
    assert {row[0] for row in rows} == {"", *Call.ENDED}
    explained = {key.strip("`") for row in rows for key in row[1].split(", ")}
    assert explained | {"pending", "invalid"} == set(stats.KEYS)


def test_every_state_of_an_attempt_that_a_client_sees_is_explained():
    assert {row[0] for row in table(section(SEEN, "Call attempt"))} == {"in-progress", *attempt_states.OUTCOMES}
