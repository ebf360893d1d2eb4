"""Mail addresses and domains in the one narrow form that is written to. Pure.

Much more is legal in mail: quotes, comments, groups, routes, other scripts. Each of them has let
somebody send elsewhere than a reader thought, so none of them is taken. Nothing is bent to fit.
"""

import re

# No % or ! and no =, by which some servers pass mail on to another domain; no quotes or comments.
LOCAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+'-]*(\.[A-Za-z0-9_+'-]+)*")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LONGEST_LOCAL, LONGEST_DOMAIN, LONGEST = 64, 253, 254

ONE_ADDRESS = "one plain address such as ana@shop.example, and nothing around it"


def address(value: str) -> str:
    """The address itself, if it is one in the form taken here. Raises ValueError."""
    local, at, host = value.rpartition("@")
    if not at or len(value) > LONGEST or len(local) > LONGEST_LOCAL or not value.isascii():
        raise ValueError(ONE_ADDRESS if value.isascii() else f"{ONE_ADDRESS}, in ASCII: {IN_ASCII}")
    if not LOCAL.fullmatch(local):
        raise ValueError(ONE_ADDRESS)
    domain(host.lower())
    return value


IN_ASCII = "write a domain of another script as xn--…"


def domain(value: str) -> str:
    """The domain itself, if it is one in lower case and punycode. Raises ValueError."""
    labels = value.split(".")
    if not value.isascii():
        raise ValueError(f"a domain in ASCII; {in_punycode(value)}")
    if len(value) > LONGEST_DOMAIN or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError("a domain such as shop.example, in lower case, without a dot at its end")
    if len(labels) < 2 or labels[-1].isdigit():
        raise ValueError("a whole domain: no single word, and no number of a machine")
    if in_unicode(value) is None:
        raise ValueError("a domain whose xn-- parts can be read")
    return value


def domain_of(value: str) -> str:
    """The domain of an address, as it is compared."""
    return value.rpartition("@")[2].lower()


def mailbox(value: str) -> str:
    """Whom an address reaches, so that caps count one person once: without case and +tag.

    Some servers tell such addresses apart; counting them together only makes a cap tighter.
    """
    local, _, host = value.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{host}"


def in_unicode(value: str) -> str | None:
    """A domain in punycode as a browser would show it; None if no reader could."""
    try:
        shown = value.encode("ascii").decode("idna")
        return shown if shown.encode("idna").decode("ascii") == value else None
    except UnicodeError:
        return None


def in_punycode(value: str) -> str:
    """What to write instead of a domain in another script."""
    try:
        return f"write it as {value.encode('idna').decode('ascii')}"
    except UnicodeError:
        return IN_ASCII
