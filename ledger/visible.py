"""Text in which nothing hides, for pages and cells that are the ledger's own."""

import re

# Printable by Unicode's classes, and yet nothing or another thing is seen.
UNSEEN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


def visible(text: str, *, keep: str = "") -> str:
    """Text in which every character that would not be seen is written as its escape."""
    return "".join(
        char
        if char in keep or (char.isprintable() and not UNSEEN.match(char))
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
