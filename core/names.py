"""Names that people type, compared as a person sees them.

A name that was copied from a web page or a phone holds characters that nobody sees, and the same letter can be written
as one character or as a letter and its marks. Such names are the same.
"""

import re
import unicodedata

# Unicode's Default_Ignorable_Code_Point: what is not displayed, such as the zero-width space, marks of direction, the
# byte-order mark, the soft hyphen, joiners and variation selectors. Without the tags, which tell flags apart.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e0fff]"
)
# They are not displayed either, but without them the letters or emoji beside them look different.
_SHAPING = "\u200c\u200d\ufe0e\ufe0f"
_JOINER = "\u200d"
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def is_invisible(character: str) -> bool:
    return _INVISIBLE.match(character) is not None


def displayed(name: str) -> str:
    """Return a name to be stored, without what nobody sees, except what shapes letters, and with single spaces."""
    visible = _INVISIBLE.sub(lambda match: match[0] if match[0] in _SHAPING else "", name)
    return " ".join(unicodedata.normalize("NFC", visible).split()) if exact(name) else ""


def exact(name: str) -> str:
    """Return what two names have in common that look the same."""
    return " ".join(unicodedata.normalize("NFD", _INVISIBLE.sub("", name)).split())


def caseless(name: str) -> str:
    """Return what two names have in common that look the same but for capitals."""
    return unicodedata.normalize("NFD", exact(name).casefold())


def goes_on(text: str, at: int) -> bool:
    """Tell whether the word that ends before a place of the text goes on: with a letter, mark, digit or underscore.

    An emoji goes on with its skin tone, or with another one that is joined to it.
    """
    while at and is_invisible(text[at - 1]):
        at -= 1
    is_joined = False
    for character in text[at:]:
        if is_invisible(character):
            is_joined = is_joined or character == _JOINER
            continue
        kind = unicodedata.category(character)
        joins = (is_joined and kind[0] == "S") or character in _SKIN_TONES
        return joins or kind[0] in "LMN" or kind in {"Pc", "Cf"}
    return False
