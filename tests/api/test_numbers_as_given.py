"""Numbers as people paste them into a request, and refusals that say why."""

import pytest

ONE, TWO = "+919810012345", "+919810012346"


@pytest.mark.parametrize("between", [",", ";", "\n", "\r\n", ", ", " ;\n", ",,"])
def test_numbers_of_one_string_may_stand_in_a_list_of_any_kind(api, between):
    assert api.create(**{"from": f"{ONE}{between}{TWO}{between}"}).data["from"] == [ONE, TWO]


@pytest.mark.parametrize("between", [",", ";", "\n", " / "])
def test_an_element_that_holds_two_numbers_is_refused_with_the_reason(api, between):
    response = api.create(**{"from": [ONE, f"{ONE}{between}{TWO}"]})
    assert response.is_refused(400, "two numbers are in one place", "number 2 of 2")


def test_a_refusal_shows_no_character_that_can_not_be_seen(api):
    response = api.create(**{"from": [ONE, "\u202a+91x\u0007"]})
    assert response.is_refused(400, "\\u202a+91x\\x07 is not a valid number", "U+0078", "number 2 of 2")
