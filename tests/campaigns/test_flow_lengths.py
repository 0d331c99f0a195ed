"""How much of a flow is heard between two questions."""

import pytest

from campaigns.flow_lengths import MARKUP, longest_stretch

A, B = {"say": "a" * 100}, {"say": {"text": "b" * 1000, "language": "en"}}
CONNECT = {"connect": "+912222222222"}


def gather(*prompt, otherwise=None, **branches):
    branches = {keys.removeprefix("key"): steps for keys, steps in branches.items()}
    return {"gather": {"prompt": [*prompt], "branches": branches} | ({"otherwise": otherwise} if otherwise else {})}


@pytest.mark.parametrize(
    ("steps", "heard", "parts"),
    [
        ([A, B], 1100, 2),
        ([{"say": "&\u0915"}], 5 + 3, 1),
        ([{"play": "https://a.example/x?y&z"}], 23 + 4, 1),
        ([A, gather(B, key1=[A])], 1100, 3),
        ([A, gather(key1=[B], key2=[A, A])], 1000, 1),
        ([gather(key1=[B], key2=[A]), A], 1100, 2),
        ([gather(key1=[A], otherwise=[B]), A], 1100, 2),
        ([gather(key1=[A, gather(key1=[A])]), B], 1100, 2),
        ([B, CONNECT, A], 1000, 2),
        ([{"connect": {"numbers": ["+912222222222"], "otherwise": [B]}}, A], 1100, 2),
        ([B, {"record": {"seconds": 3}}, A], 1000, 2),
        ([{"hangup": True}], 0, 1),
    ],
)
def test_what_is_heard_between_two_questions(steps, heard, parts):
    assert longest_stretch({"steps": steps}) == heard + parts * MARKUP


def test_what_a_machine_hears_counts():
    assert longest_stretch({"steps": [A], "machine": [B]}) == 1000 + MARKUP
