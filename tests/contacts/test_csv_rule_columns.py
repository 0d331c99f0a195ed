"""Columns of a file that say where people are, and what they agreed to."""

from datetime import date

import pytest

from contacts.csv_uploads.rows import Rejected, Row
from contacts.models import Contact
from tests.contacts.csv_files import DYNAMIC, NUMBER, one
from tests.contacts.test_csv_upload import account, listed, loaded  # noqa: F401 -- account is a fixture

HEADER = "number,first_name,Time Zone,Consent Date,consent_source,consent_scope"


@pytest.mark.django_db
def test_they_are_stored_with_the_contact(account):  # noqa: F811
    upload = loaded(account, f"{HEADER}\n{NUMBER},Asha,asia/calcutta,2026-01-31,form 12,all\n+919810012346,Ravi,,,,\n")
    assert listed(upload) == [NUMBER, "+919810012346"]
    asha, ravi = Contact.objects.order_by("number")
    assert (asha.time_zone, asha.consent_date, asha.consent_source) == ("Asia/Kolkata", date(2026, 1, 31), "form 12")
    assert (ravi.time_zone, ravi.consent_date, ravi.consent_scope) == ("", None, "")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ("IST,,,", "time_zone: IST is not a time zone"),
        (",31/01/2026,form,all", "consent_date: write the day as 2026-01-31"),
        (",2026-01-31,form,", "consent_scope: is missing"),
        (",,form,all", "consent_date: is missing"),
        (",2026-01-31,form,calls", "consent_scope: calls is not one"),
    ],
)
def test_a_row_that_makes_no_sense_is_rejected_with_the_reason(cells, says):
    row = one(f"{HEADER}\n{NUMBER},Asha,{cells}\n")
    assert isinstance(row, Rejected)
    assert says in row.reason


def test_a_dynamic_list_keeps_the_zone_of_each_row_beside_its_own_columns():
    row = one(f"number,a,b,c,d,e,time_zone\n{NUMBER},1,2,3,4,5,Asia/Calcutta\n", DYNAMIC)
    assert isinstance(row, Row)
    assert row.values["time_zone"] == "Asia/Kolkata"
