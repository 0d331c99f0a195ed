"""The columns of a file are found by their usual names, as exports and people write them."""

import pytest

from contacts.csv_uploads import column_names
from contacts.csv_uploads.columns import ColumnChoice, layout_of
from contacts.csv_uploads.lines import FileRefused
from contacts.csv_uploads.rows import Row
from tests.contacts.csv_files import DYNAMIC, NUMBER, layout, one, rows

IGNORING = ColumnChoice(is_dynamic=False, ignores_others=True)

# The headers of exports, as programs that import them know them (column_names says which).
GOOGLE = (
    "First Name,Middle Name,Last Name,Phonetic First Name,Phonetic Middle Name,Phonetic Last Name,Name Prefix,"
    "Name Suffix,Nickname,File As,Organization Name,Organization Title,Organization Department,Birthday,Notes,"
    "Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value,"
    "Phone 2 - Label,Phone 2 - Value,Address 1 - Label,Address 1 - Formatted"
)
OLD_GOOGLE = (
    "Name,Given Name,Additional Name,Family Name,Yomi Name,Nickname,Notes,Group Membership,E-mail 1 - Type,"
    "E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value,Organization 1 - Type,Organization 1 - Name"
)
OUTLOOK = (
    "Title,First Name,Middle Name,Last Name,Suffix,Company,Department,Job Title,Assistant's Phone,Business Fax,"
    "Business Phone,Business Phone 2,Callback,Car Phone,Company Main Phone,Home Fax,Home Phone,Home Phone 2,ISDN,"
    "Mobile Phone,Other Fax,Other Phone,Pager,Primary Phone,Radio Phone,TTY/TDD Phone,Telex,Categories,E-mail Address,"
    "E-mail Type,E-mail Display Name,E-mail 2 Address,Notes,Web Page"
)
HUBSPOT = (
    "Record ID,First Name,Last Name,Email,Phone Number,Mobile Phone Number,Contact owner,Associated Company,"
    "Company name,Lead Status,Create Date"
)
SALESFORCE = "Salutation,First Name,Last Name,Title,Account Name,Mailing Street,Phone,Fax,Mobile,Email,Account Owner"
SALESFORCE_API = "Id,FirstName,LastName,Email,Phone,MobilePhone,AccountId"
ZOHO = "Contact Id,Contact Owner,First Name,Last Name,Account Name,Email,Phone,Mobile,Lead Source,Tag"
MAILCHIMP = "Email Address,First Name,Last Name,Address,Phone Number,MEMBER_RATING,OPTIN_TIME,LEID,EUID,NOTES,TAGS"
FACEBOOK = "id,created_time,ad_id,ad_name,form_name,is_organic,platform,full_name,email,phone_number,company_name"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (GOOGLE, ["Phone 1 - Value", "First Name", "Last Name", "Organization Name", "E-mail 1 - Value", "Labels"]),
        (OLD_GOOGLE, ["Phone 1 - Value", "Given Name", "Family Name", "Organization 1 - Name", "E-mail 1 - Value",
                      "Group Membership"]),
        (OUTLOOK, ["Mobile Phone", "First Name", "Last Name", "Company", "E-mail Address", "Categories"]),
        (HUBSPOT, ["Mobile Phone Number", "First Name", "Last Name", "Company name", "Email", None]),
        (SALESFORCE, ["Mobile", "First Name", "Last Name", "Account Name", "Email", None]),
        (SALESFORCE_API, ["MobilePhone", "FirstName", "LastName", None, "Email", None]),
        (ZOHO, ["Mobile", "First Name", "Last Name", "Account Name", "Email", "Tag"]),
        (MAILCHIMP, ["Phone Number", "First Name", "Last Name", None, "Email Address", "TAGS"]),
        (FACEBOOK, ["phone_number", "full_name", None, "company_name", "email", None]),
    ],
)  # fmt: skip
def test_the_columns_of_exports_are_found_and_the_others_left_out(header, found):
    names = header.split(",")
    columns = layout(f"{header}\n", IGNORING).columns
    ours = ["number", "first_name", "last_name", "company_name", "email", "tag"]
    assert {name: names[columns.index(name)] if name in columns else None for name in ours} == dict(
        zip(ours, found, strict=True)
    )


@pytest.mark.parametrize(
    "name",
    ["number", "Number", "NUMBER", "Mobile", "mobile no", "Mobile No.", "MobileNo", "mobile_number", "Mobile Number*",
     "Phone", "phone_number", "Phone Number", "PHONE NO", "Phone#", "Tel.", "Telephone", "Contact No", "Cell",
     "cell phone", "Handynummer", "Teléfono", "Celular", "No. HP", "मोबाइल नंबर",
     "\u200bMobile", "Mobile\u00a0Number", "WhatsApp No", "Phone: mobile", "Phone Number (WhatsApp)", "Billing Phone",
     "Person - Phone - Work", "SMS", "Rufnummer", "Номер телефона", "رقم الهاتف", "电话", "電話番号", "전화번호",
     "เบอร์โทร", "Số điện thoại", "மொபைல் எண்", "ఫోన్ నంబర్", "মোবাইল নম্বর", "موبائل نمبر"],
)  # fmt: skip
def test_the_number_is_found_under_the_names_that_people_give_it(name):
    assert one(f"{name},first_name\n{NUMBER},Asha\n") == Row(2, NUMBER, {"first_name": "Asha"})
    assert one(f"{name},Fee\n{NUMBER},5\n", DYNAMIC) == Row(2, NUMBER, {"Fee": "5"})


@pytest.mark.parametrize(
    ("header", "number"),
    [("Phone,Mobile", "Mobile"), ("Home Phone,Phone", "Phone"), ("Phone 2 - Value,Phone 1 - Value", "Phone 1 - Value"),
     ("Mobile,number", "number"), ("Business Phone,Primary Phone", "Primary Phone"), ("Phone,Telephone", "Phone"),
     ("SMS,Phone", "Phone"), ("Номер,Телефон", "Телефон"), ("Billing Phone,Phone", "Phone")],
)  # fmt: skip
def test_of_several_columns_with_numbers_the_best_name_counts(header, number):
    found = layout(f"{header}\n", IGNORING)
    assert found.header.names[found.number_at] == number


def test_a_postal_code_and_a_house_number_are_no_numbers():
    """A Brazilian CEP of eight digits is also a service number there."""
    found = layout("Nome,CEP,Número,Telefone\n", IGNORING, "BR")
    assert found.header.names[found.number_at] == "Telefone"
    with pytest.raises(FileRefused, match="no column is named number"):
        layout("Nome,CEP,Número,Bairro\n", IGNORING, "BR")


def test_a_fax_and_other_peoples_phones_are_no_numbers():
    with pytest.raises(FileRefused, match="no column is named number"):
        layout("Home Fax,Assistant's Phone,Company Main Phone,Phone 1 - Label,Customer Number\n", IGNORING)


def test_usual_names_are_unique():
    folded = [column_names.folded(name) for names in column_names._USUAL_NAMES.values() for name in names]
    assert sorted(folded) == sorted(set(folded))


def test_a_column_of_ones_own_in_a_dynamic_list_is_not_renamed():
    row = one(f"Phone,Given Name,Company,Fee\n{NUMBER},Asha,Acme,5\n", DYNAMIC)
    assert row == Row(2, NUMBER, {"Given Name": "Asha", "Company": "Acme", "Fee": "5"})


class TestRefusal:
    def test_names_all_columns_that_are_not_of_a_static_list_and_what_to_do(self):
        with pytest.raises(FileRefused, match=r"^line 1: City, Fee, Due are no columns of a static list") as refused:
            layout("number,City,Fee,first_name,Due\n")
        for what in ("ignore_columns=true", "columns=", "type=dynamic"):
            assert what in str(refused.value)

    def test_names_a_second_column_of_numbers_as_one_of_the_others(self):
        with pytest.raises(FileRefused, match=r"^line 1: Phone, Home Phone are no columns of a static list"):
            layout("Mobile,Phone,Home Phone\n")

    def test_of_a_header_without_numbers_names_its_columns_and_what_would_do(self):
        with pytest.raises(FileRefused, match=r"Mobile, Phone or Phone Number would do.*Customer, City") as refused:
            layout("Customer,City\n")
        assert 'columns={"number": "…"}' in str(refused.value)

    @pytest.mark.parametrize("row", [f"{NUMBER},Asha", "Asha,98100 12345", "9810012345"])
    def test_says_that_a_row_stands_where_the_header_should(self, row):
        with pytest.raises(FileRefused, match="this line looks like a row, not like a header"):
            layout(f"{row}\n{NUMBER},Asha\n")

    def test_of_too_many_columns_of_ones_own_names_them(self):
        with pytest.raises(FileRefused, match="6 columns of your own are more than 5: a, b, c, d, e, f"):
            layout("number,a,b,c,d,e,f\n", DYNAMIC)

    def test_is_short_enough_to_read(self):
        with pytest.raises(FileRefused, match="and 879 more are no columns") as refused:
            layout("number," + ",".join(f"c{n}" for n in range(979)) + "\n")
        assert len(str(refused.value)) < 2000


class TestNamesAsAPersonSeesThem:
    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("Cafe\u0301", "Caf\u00e9"),
            ("\u200bFee\u00ad  \u00a0due\u200e", "Fee due"),
            ("\u202bرقم\u202c", "رقم"),
            ("می\u200cشود", "می\u200cشود"),
            ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
            ("क्\u200dष", "क्\u200dष"),
            ("ชื่อ", "ชื่อ"),
        ],
    )
    def test_are_stored_without_what_nobody_sees(self, written, shown):
        assert layout(f"number,{written}\n", DYNAMIC).variables == [shown]

    def test_are_left_out_where_there_is_nothing_to_see(self):
        assert layout("number,\u200d\ufe0f, \u200b ,Fee\n", DYNAMIC).columns == ("number", "", "", "Fee")

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("Fee", "Fee"),
            ("Caf\u00e9", "Cafe\u0301"),
            ("First  Due", "First\u00a0Due"),
            ("Fee", "\u200bFe\u00ade\u2060"),
            ("क्ष", "क्\u200dष"),
            ("❤", "❤\ufe0f"),
            ("first_name", "First-\u200bName"),
            ("number", "\u202dNumber\u202c"),
        ],
    )
    def test_can_not_be_those_of_two_columns(self, first, second):
        with pytest.raises(FileRefused, match=r"stands twice, as the columns 2 \(.*\) and 4 \(.*\): rename one"):
            layout(f"Mobile,{first},x,{second}\n", DYNAMIC)

    def test_may_differ_in_capitals_only(self):
        assert layout("number,Fee,FEE\n", DYNAMIC).variables == ["Fee", "FEE"]

    @pytest.mark.parametrize("written", ["Caf\u00e9 1", "Cafe\u0301  1", "caf\u00e9\u200b 1", "CAF\u00c9\u00a01"])
    def test_are_those_that_a_choice_names(self, written):
        choice = ColumnChoice(is_dynamic=True, names={"number": written})
        assert layout("Cafe\u0301 1,Fee\n", choice).columns == ("number", "Fee")

    def test_become_those_of_the_list_that_they_extend(self):
        found = layout("number,caf\u00e9,Fee,fee,क्\u200dष,New\n", DYNAMIC)
        columns = ["Cafe\u0301", "fee", "Fee", "क्ष"]
        assert found.spelled_as(columns).variables == ["Cafe\u0301", "Fee", "fee", "क्ष", "New"]


class TestChoice:
    def test_says_which_column_is_which(self):
        choice = ColumnChoice(is_dynamic=False, names={"number": "Kontakt", "first_name": "rufname", "tag": "number"})
        row = one(f"Kontakt,Rufname,number\n{NUMBER},Asha,7\n", choice)
        assert row == Row(2, NUMBER, {"first_name": "Asha", "tag": "7"})

    def test_names_columns_of_ones_own_in_a_dynamic_list_and_leaves_out_the_rest(self):
        choice = ColumnChoice(is_dynamic=True, names={"Fee": "Amount due", "Name": "First Name"}, ignores_others=True)
        row = one(f"Phone,First Name,Amount due,a,b,c,d,e,f,g\n{NUMBER},Asha,5\n", choice)
        assert row == Row(2, NUMBER, {"Name": "Asha", "Fee": "5"})

    def test_leaves_out_columns_that_stand_twice(self):
        assert one(f"number,Notes,Notes\n{NUMBER},a,b\n", IGNORING) == Row(2, NUMBER, {})

    @pytest.mark.parametrize(
        ("names", "says"),
        [
            ({"number": "Handset"}, "the file has no column Handset; it has Mobile, City, City"),
            ({"tag": "City"}, "City stands twice"),
            ({"number": "Mobile", "tag": "Mobile"}, "Mobile can't be both number and tag"),
        ],
    )
    def test_of_a_column_that_can_not_be_is_refused(self, names, says):
        with pytest.raises(FileRefused, match=f"^line 1: 'columns': .*{says}"):
            layout("Mobile,City,City\n", ColumnChoice(is_dynamic=False, names=names, ignores_others=True))

    def test_of_a_name_that_another_column_has_is_refused(self):
        with pytest.raises(FileRefused, match="the column Fee stands twice"):
            layout("number,Fee,Due\n", ColumnChoice(is_dynamic=True, names={"Fee": "Due"}))


def test_a_column_that_is_left_out_may_hold_anything():
    long = "x" * 10_000
    assert rows(f"number,Notes\n{NUMBER},{long}\n", IGNORING) == [Row(2, NUMBER, {})]


def test_the_line_and_the_reason_are_left_out_where_they_come_first_together():
    assert one(f"line,reason,number\n2,x,{NUMBER}\n") == Row(2, NUMBER, {})
    assert one(f"Line,Reason,number,Fee\n2,x,{NUMBER},'=5\n", DYNAMIC) == Row(2, NUMBER, {"Fee": "=5"})
    with pytest.raises(FileRefused, match="line is no column of a static list"):
        layout("line,number\n")


def test_a_layout_is_the_same_from_the_header_that_it_was_made_from():
    found = layout(f"{OUTLOOK}\n", IGNORING)
    assert layout_of(found.header, IGNORING) == found
