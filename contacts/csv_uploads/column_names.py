"""The names under which exports and people write the number and the columns of a contact.

Sources: the header lines of exports as programs that import them list them.

- Google Contacts: `Given Name`, `Family Name`, `Organization 1 - Name`, `E-mail 1 - Value`, `Phone 1 - Value` in older
  exports; today `First Name`, `Last Name`, `Organization Name`, `E-mail 1 - Value`, `Phone 1 - Value`, `Labels`
- Outlook: `First Name`, `Last Name`, `Company`, `E-mail Address`, `Mobile Phone`, `Primary Phone`, `Home Phone`,
  `Business Phone`, `Categories`
- HubSpot: `First Name`, `Last Name`, `Email`, `Phone Number`, `Mobile Phone Number`, `Company name`
- Salesforce: `First Name`, `Last Name`, `Account Name`, `Email`, `Phone`, `Mobile`; in its API `FirstName`,
  `MobilePhone`
- Zoho CRM: `First Name`, `Last Name`, `Account Name`, `Email`, `Phone`, `Mobile`, `Tag`
- Mailchimp: `Email Address`, `First Name`, `Last Name`, `Phone Number`, `TAGS`; in its API `FNAME`, `LNAME`, `PHONE`
- Pipedrive: `Person - Name`, `Person - Phone - Mobile`, `Person - Phone - Work`, `Person - Email - Work`
- WooCommerce: `Billing First Name`, `Billing Last Name`, `Billing Phone`; Shopify: `Phone`, `Default Address Phone`
- Brevo: `SMS`, `WHATSAPP`, `FIRSTNAME`, `LASTNAME`
- systeme.io: `First name`, `Surname`, `Phone number`, `Tags`
- Facebook lead ads: `full_name`, `first_name`, `phone_number`, `email`, `company_name`
- iCloud: exports vCards only
- Exotel's campaigns: `number`
"""

import unicodedata

# By our name of the column, the best name first: of several columns in a file, the best one counts.
_USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "number": (
        "number",
        # A mobile phone rings the person; a home or office number may ring somebody else.
        "Mobile", "Mobile Number", "Mobile Phone", "Mobile Phone Number", "Mobile No", "Mobile Nr", "Mobile Num",
        "Mobile 1", "Mobile No 1", "Primary Mobile", "Contact Mobile", "Customer Mobile", "Mob", "Mob No",
        "Mob Number",
        "Cell", "Cell Number", "Cell No", "Cell Phone", "Cell Phone Number", "Cellular",
        "Handphone", "No HP", "Handy", "Handynummer", "Mobil", "Mobilnummer", "Mobiltelefon", "Mobilfunk",
        "Móvil", "Teléfono móvil", "Celular", "Portable", "Téléphone portable", "Téléphone mobile", "Telemóvel",
        "Cellulare", "मोबाइल", "मोबाइल नंबर", "मोबाइल नम्बर", "मोबाईल", "मोबाईल नंबर", "মোবাইল", "মোবাইল নম্বর", "மொபைல்",
        "கைபேசி", "மொபைல் எண்", "మొబైల్", "మొబైల్ నంబర్", "ಮೊಬೈಲ್", "ಮೊಬೈಲ್ ಸಂಖ್ಯೆ", "മൊബൈൽ", "મોબાઇલ", "મોબાઇલ નંબર", "ਮੋਬਾਈਲ",
        "موبائل", "موبائل نمبر", "جوال", "رقم الجوال", "موبايل", "رقم الموبايل", "手机", "手机号", "手机号码", "手機",
        "手機號碼",
        "携帯", "携帯電話", "携帯番号", "携帯電話番号", "휴대폰", "휴대폰 번호", "휴대전화", "มือถือ", "เบอร์มือถือ",
        "Di động",
        "Мобильный", "Мобильный телефон", "Мобільний", "Cep telefonu", "Komórka", "Telefon komórkowy",
        "Kännykkä",
        "Person - Phone - Mobile", "Phone (Mobile)",
        "Phone", "Phone Number", "Phone No", "Phone Nr", "Phone Num", "Telephone", "Telephone Number", "Telephone No",
        "Tel", "Tel No", "Tel Number", "Ph", "Ph No", "Ph Number", "Primary Phone", "Primary Phone Number",
        "Main Phone", "Phone 1 - Value", "Phone 1", "Phone No 1", "Phone Number 1", "Contact Number", "Contact No",
        "Contact Phone", "Contact Phone Number", "Customer Phone", "Customer Phone Number", "MSISDN",
        "Telefon", "Telefonnummer", "Telefoon", "Teléfono", "Téléphone",
        "Billing Phone", "Billing Phone Number", "Shipping Phone", "Default Address Phone", "Person - Phone",
        "Your Phone",
        "Your Phone Number", "Parent Phone", "Guardian Phone", "Patient Phone", "Student Phone",
        "Rufnummer", "Telefonnr", "Telefonszám", "Telefonní číslo", "Numer telefonu", "Puhelin",
        "Puhelinnumero", "Telefoonnummer", "Número de teléfono", "Número de telefone", "Numero di telefono",
        "Телефон", "Номер телефона", "Номер телефону", "Номер", "Τηλέφωνο", "טלפון", "هاتف", "الهاتف", "رقم الهاتف",
        "تلفون", "رقم التلفون", "تلفن", "شماره تلفن", "فون", "فون نمبر", "电话", "电话号码", "電話", "電話號碼",
        "電話番号",
        "전화", "전화번호", "โทรศัพท์", "เบอร์โทร", "เบอร์โทรศัพท์", "Điện thoại", "Số điện thoại", "Simu",
        "Nambari ya simu",
        "Namba ya simu", "ফোন", "ফোন নম্বর", "தொலைபேசி", "தொலைபேசி எண்", "ఫోన్", "ఫోన్ నంబర్", "ಫೋನ್", "ഫോൺ", "ഫോൺ നമ്പർ",
        "ફોન", "ફોન નંબર", "ਫ਼ੋਨ",
        "Telefone", "Telefono", "Numéro", "Numéro de téléphone", "Nomor", "Nomor Telepon", "No Telepon", "फ़ोन", "फोन",
        "फ़ोन नंबर", "फोन नंबर", "नंबर",
        "WhatsApp", "WhatsApp Number", "WhatsApp No", "Phone Number (WhatsApp)", "Phone (WhatsApp)",
        "Person - Phone - Work", "Person - Phone - Home", "Person - Phone - Other",
        "Phone (Work)", "Phone (Home)", "Home Phone", "Business Phone", "Work Phone", "Other Phone", "Phone 2 - Value",
        "Phone 2", "Mobile 2",
        "Phone 3 - Value", "Alternate Number", "Alternate Mobile", "Alternate Phone", "Numbers", "Phones", "Mobiles",
        "SMS",
    ),
    "first_name": (
        "first_name", "Given Name", "First", "Forename", "FName", "Contact First Name", "Vorname", "Prénom", "Nombre",
        "Nome", "Voornaam", "नाम", "Name", "Full Name", "Contact Name", "Customer Name", "Display Name", "File As",
        "Person - First Name", "Person - Name", "Billing First Name", "Shipping First Name",
    ),
    "last_name": (
        "last_name", "Last", "Family Name", "Surname", "LName", "Contact Last Name", "Nachname", "Familienname",
        "Nom de famille", "Apellido", "Apellidos", "Sobrenome", "Cognome", "Achternaam",
        "Person - Last Name", "Billing Last Name", "Shipping Last Name",
    ),
    "company_name": (
        "company_name", "Company", "Organization Name", "Organisation Name", "Organization 1 - Name", "Organization",
        "Organisation", "Account Name", "Company / Account", "Associated Company", "Firma", "Société", "Empresa",
    ),
    "email": (
        "email", "Email Address", "E-mail 1 - Value", "Email 1", "Email ID", "Primary Email", "Mail", "Mail ID",
        "Billing Email", "Person - Email", "Person - Email - Work",
    ),
    "time_zone": ("time_zone", "Time Zone Name", "TZ"),
    "consent_date": ("consent_date", "Consent Given On", "Opt-in Date"),
    "consent_source": ("consent_source", "Opt-in Source"),
    "consent_scope": ("consent_scope",),
    "tag": ("tag", "Tags", "Labels", "Label", "Group Membership", "Groups", "Categories"),
}  # fmt: skip

# For a header that has none of them.
EXAMPLES = "number, Mobile, Phone or Phone Number"


def folded(name: str) -> str:
    """Return the letters, marks and digits of a name, so that `Mobile_No.`, `mobile no` and `MobileNo` are one."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(character for character in text if unicodedata.category(character)[0] in "LMN")


_RANKS: dict[str, tuple[str, int]] = {
    folded(name): (column, rank)
    for column, names in reversed(_USUAL_NAMES.items())
    for rank, name in reversed(list(enumerate(names)))
}


def usual(name: str) -> tuple[str, int]:
    """Return our name of the column, and the rank of this name for it from 0; ("", 0) for one that we don't know."""
    return _RANKS.get(folded(name), ("", 0))


def exact(name: str) -> str:
    """Return our name of the column, `first_name` for `First Name`; "" for any other spelling."""
    ours = name.casefold().replace(" ", "_").replace("-", "_")
    return ours if ours in _USUAL_NAMES else ""
