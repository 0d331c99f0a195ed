"""The stored spelling of caller IDs: E.164 for a telephone number, bare digits for anything else."""

import phonenumbers


def canonical(number: str, region: str) -> str:
    """Return `080 1234 5678` in IN as `+918012345678`, and what is no telephone number, such as 1408888, as digits.

    Args:
        number: as a person wrote it.
        region: the two-letter country of numbers without a country code.
    """
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed and phonenumbers.is_valid_number(parsed):
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return "".join(character for character in number if character.isdecimal() and character.isascii())
