"""How a caller ID is written: in E.164 where it is a telephone number, else as bare digits."""

import phonenumbers


def canonical(number: str, region: str) -> str:
    """`080 1234 5678` in IN as `+918012345678`; what only exists inside a country, such as 1408888, as digits."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed and phonenumbers.is_valid_number(parsed):
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return "".join(character for character in number if character.isdecimal() and character.isascii())
