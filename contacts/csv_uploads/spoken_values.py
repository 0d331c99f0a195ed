"""Values that a text can name: those that would be read aloud as nothing, or as an error, are refused.

Which columns the text of a campaign will name is not known when a file is loaded. So every column of a dynamic list
counts, but for the number.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# What spreadsheets, programs and databases write where there is no value. Capitals count: Null and Nan are names, too.
_NO_VALUE = frozenset(["N/A", "n/a", "NULL", "null", "NaN", "nan", "undefined", r"\N", "Loading..."])
# The errors of spreadsheets in all languages begin with # and are in capitals. Most end so: #REF!, #WERT!, #¿NOMBRE?
_ERROR = re.compile(r"#[^\s#]+[!?]")
_ERROR_OF_LIBREOFFICE = re.compile("Err:[0-9]{3}")
_OTHER_ERRORS = frozenset([
    "#N/A", "#N/D", "#N/B", "#N/V", "#NB", "#NV", "#I/T", "#YOK", "#\u041d/\u0414", "#HI\u00c1NYZIK",
    "#GETTING_DATA", "#IKKE TILG\u00c6NGELIG", "#NEN\u00cd_K_DISPOZICI",
])  # fmt: skip


@dataclass(frozen=True)
class ValueRule:
    """What a list takes as a value.

    allows_blanks: whether a value may have no letter or digit, or be missing. Errors are never taken.
    """

    allows_blanks: bool = False

    def problem(self, values: Mapping[str, str]) -> str:
        """Return why a row can't be loaded, with the names of its columns; "" where it can."""
        blank = [] if self.allows_blanks else [name for name, text in values.items() if _is_blank(text)]
        if blank:
            names = ", ".join(name[:40] for name in blank)
            shown = next((values[name] for name in blank if values[name].strip()), "")
            return f"no value for {names}{f' but {shown[:20]}' if shown else ''}: fill it in, or send allow_blanks=true"
        for name, text in values.items():
            if _is_error(text):
                return f"{name[:64]} is {text[:40]}, which stands for an error or for no value: correct it"
        return ""


def _is_blank(text: str) -> bool:
    return not text[:1].isalnum() and not any(map(str.isalnum, text))


def _is_error(text: str) -> bool:
    if text in _NO_VALUE:
        return True
    if text.startswith("#"):
        # A column that is too narrow shows ####, and some programs export that.
        is_hidden = not text.strip("#")
        return is_hidden or text.upper() in _OTHER_ERRORS or (text.isupper() and _ERROR.fullmatch(text) is not None)
    return text.startswith("Err:") and _ERROR_OF_LIBREOFFICE.fullmatch(text) is not None
