"""What the pages of carriers say that each can is what its driver's kind says."""

import re

import pytest

from accounts import carriers
from accounts.carriers import CarrierKind, FoundBy
from tests.docs.pages import ROOT, section, table

PAGES = ROOT / "docs" / "carriers"
README = (PAGES / "README.md").read_text()
KINDS = [kind for kind in carriers.all_kinds() if not kind.is_for_tests]
# The sandbox has a page of its own, in its folder.
SECTIONS = ("What the guarantee becomes", "What a mistake costs")
CARRIERS = [kind for kind in KINDS if kind.name != "sandbox"]


def after_a_lost_reply(kind: CarrierKind) -> str:
    return "known" if FoundBy.OUR_ID in kind.found_by else "found by its" * (FoundBy.NUMBER in kind.found_by)


def test_the_table_of_carriers_says_what_their_kinds_say():
    first = README.partition("\n## ")[0]
    told = {name.strip("`"): cells for _, name, *cells in table(first)}
    for kind in KINDS:
        flows, keys, custom_field, lost, hangs_up = told[kind.name]
        assert flows.startswith("yes") is kind.runs_our_flows, kind.name
        assert keys.startswith("yes") is kind.reports_keys, kind.name
        longest = re.search("at most ([0-9]+)", custom_field)
        assert (int(longest[1]) if longest else None) == kind.longest_custom_field, kind.name
        assert lost.startswith(after_a_lost_reply(kind)), kind.name
        assert hangs_up.startswith("yes") is kind.hangs_up, kind.name
    assert told.keys() == {kind.name for kind in KINDS}


def test_the_guarantees_say_which_carriers_hang_up_and_let_calls_wait():
    rows = {cells[0]: cells[1:] for cells in table(section(ROOT / "docs/operator/guarantees.md", "Over each carrier"))}
    columns = {"exotel": 0, "twilio": 1, "signalwire": 1, "telnyx": 2, "sandbox": 3, "sip": 4}
    assert columns.keys() == {kind.name for kind in KINDS}
    for kind in KINDS:
        hanging_up = rows["hanging up a call that is up too long"][columns[kind.name]]
        waits = rows["accepted, and its phone rings later"][columns[kind.name]]
        assert re.match("yes|as Twilio", hanging_up) if kind.hangs_up else hanging_up.startswith("no"), kind.name
        assert waits.startswith("yes") is kind.queues_calls, kind.name


@pytest.mark.parametrize("kind", CARRIERS, ids=lambda kind: kind.name)
def test_each_carrier_has_a_page_with_its_set_up_its_guarantee_and_the_cost_of_mistakes(kind):
    page = PAGES / f"{kind.name}.md"
    text = page.read_text()
    assert f"]({page.name})" in README
    assert f"create_trunk main --carrier {kind.name} " in "\n".join(text.splitlines()[:12])
    # SignalWire's page says what differs from Twilio's.
    for heading in () if "all on the page of\n[Twilio](twilio.md) holds" in text else SECTIONS:
        assert f"\n## {heading}\n" in text, heading
    assert re.search(r"[Nn]ot tried against", text)


def test_the_first_screen_of_the_readme_names_the_carriers():
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:30])
    for name in ("Exotel", "Twilio", "SignalWire", "Telnyx", "SIP trunk"):
        assert name in first_screen
