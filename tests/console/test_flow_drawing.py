"""Flows as the server draws them."""

import json
import re
from typing import Any

import pytest

from campaigns.flow_schema import SCHEMA_FILE, validate_flow
from console import flow_drawing

EVERYTHING = {
    "steps": [
        {"say": {"text": "Hello", "language": "hi-IN"}},
        {"play": "https://x.example/a.mp3"},
        {
            "gather": {
                "prompt": [{"say": "Press 1 & 2"}],
                "digits": 2,
                "attempts": 3,
                "finish_key": "#",
                "branches": {
                    "1": [{"connect": {"numbers": ["+919810012345"], "otherwise": [{"say": "Nobody"}]}}],
                    "22": [{"opt_out": True}, {"hangup": True}],
                },
                "otherwise": [{"say": "Goodbye"}],
            }
        },
        {"connect": "+919810012346"},
    ],
    "machine": [{"say": "Call us"}],
}


def lines(document):
    validate_flow(document)
    drawing = str(flow_drawing.draw(document))
    return [
        (int(x), kind, text)
        for kind, x, text in re.findall(r'<g class="([^"]+)">.*?<rect x="(\d+)".*?<text[^>]*>(.*?)</text>', drawing)
    ]


def test_every_step_is_drawn_and_branches_stand_further_in():
    drawn = lines(EVERYTHING)
    assert [text for _, _, text in drawn] == [
        "Say (hi-IN): Hello",
        "Play https://x.example/a.mp3",
        "Say: Press 1 &amp; 2",
        "Wait for up to 2 keys, ended by #, 3 times",
        "Key 1",
        "Connect to +919810012345",
        "Nobody takes the call",
        "Say: Nobody",
        "Key 22",
        "Never call this number again",
        "Hang up",
        "No such key",
        "Say: Goodbye",
        "Connect to +919810012346",
        "An answering machine hears",
        "Say: Call us",
    ]
    indents = {text: x for x, _, text in drawn}
    assert indents["Key 1"] > indents["Play https://x.example/a.mp3"]
    assert indents["Say: Nobody"] > indents["Connect to +919810012345"] > indents["Key 1"]


def test_what_people_wrote_is_text():
    drawing = str(flow_drawing.draw({"steps": [{"say": "<script>alert(1)</script>"}]}))
    assert "<script" not in drawing
    assert "style=" not in drawing


@pytest.mark.parametrize("depth", [1, 20])
def test_deep_flows_stay_within_the_drawing(depth):
    steps: list[Any] = [{"say": "x" * 500}]
    for _ in range(depth):
        steps = [{"gather": {"branches": {"1": steps}}}]
    drawn = lines({"steps": steps})
    assert max(x for x, _, _ in drawn) < flow_drawing.WIDTH / 2
    assert max(len(text) for _, _, text in drawn) <= 46


def test_long_flows_are_cut():
    drawn = lines({"steps": [{"gather": {"branches": {str(n): [{"say": "a"}] * 5 for n in range(100)}}}]})
    assert len(drawn) == flow_drawing.MOST_ROWS + 1
    assert "lines more" in drawn[-1][2]


def test_each_step_that_a_flow_may_have_is_drawn():
    known = json.loads(SCHEMA_FILE.read_text())["$defs"]["step"]["properties"]
    assert set(flow_drawing._STEPS) == set(known)
    records = [{"record": {"seconds": 9, "finish_key": "1"}}, {"record": {}}, {"record_call": True}]
    drawn = lines({"steps": [*records, {"refuse": True}]})
    assert [text for _, _, text in drawn] == [
        "Record for up to 9 s, ended by 1",
        "Record for up to 60 s, ended by #",
        "Record the call from here on",
        "No call again for a while",
    ]
