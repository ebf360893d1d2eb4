"""Where a request may go: into the internet, or to a host that the operator listed.

An address is taken apart by rules narrower than any library's, so that what was examined and what
is connected to cannot be read in two ways. A name is looked up once; every answer must be public,
and the connection goes to the very answer that was examined: a second one changes nothing.
"""

import ipaddress
import re
import socket
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PORTS = frozenset({80, 443})
SCHEMES = {"http": 80, "https": 443}
AUTHORITY = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?"
)
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
LONGEST_NAME = 253
NAT64, UNICAST = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2000::/3")
SPECIAL = [  # not of the internet, or the way to another one, though versions of the library differ
    ipaddress.ip_network(one)
    for one in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
]
METADATA = frozenset({"100.100.100.200", "192.0.0.192", "fd00:ec2::254"})  # and link-local ones
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotSent(Exception):
    """Nothing reached the application there, and the sentence says why: trying again is safe."""


class Refused(NotSent):
    """The guard said no, and would again. `can_be_listed`: unless the operator lists the host."""

    def __init__(self, sentence: str, *, can_be_listed: bool = False) -> None:
        super().__init__(sentence)
        self.can_be_listed = can_be_listed


class Endpoint(NamedTuple):
    """One answer of the name server, as a socket connects to it."""

    family: int
    at: Any


@dataclass(frozen=True)
class Destination:
    """An address that may be asked for, taken apart. What follows the host is not shown."""

    host: str
    port: int
    is_https: bool
    is_listed: bool
    path: str

    def __repr__(self) -> str:
        return f"Destination({self.authority})"

    @property
    def authority(self) -> str:
        """As in the header `Host`: the port only where the scheme does not say it."""
        usual = SCHEMES["https" if self.is_https else "http"]
        return bracketed(self.host) if self.port == usual else joined(self.host, self.port)


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def joined(host: str, port: int) -> str:
    """A host and its port, as the operator's list has them."""
    return f"{bracketed(host)}:{port}"


# An address, before it is looked up


def examine(url: str, *, listed: Collection[str], any_port: bool = False) -> Destination:
    """The parts of an address that may be asked for. Raises Refused.

    `listed` holds `host` or `host:port`, as `entry` returns them: those may be in a private
    network, without TLS, and at the port that is named.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Refused("An address has only plain ASCII characters, and no spaces.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Refused("This is not an address.") from None
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise Refused("An address begins with https:// and a host name.")
    if "@" in parts.netloc or "#" in url:
        raise Refused("An address holds no user, password or fragment.")
    host, given = authority(parts.netloc)
    port = SCHEMES[parts.scheme] if given is None else given
    is_listed = joined(host, port) in listed or (host in listed and (any_port or port in PORTS))
    if not (is_listed or any_port or port in PORTS):
        raise Refused(
            "An address is at port 443, unless the operator lists its host with the port.",
            can_be_listed=True,
        )
    if parts.scheme == "http" and not is_listed:
        raise Refused(
            "An address begins with https://, unless the operator lists its host.",
            can_be_listed=True,
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(host, port, parts.scheme == "https", is_listed, path)


def authority(text: str) -> tuple[str, int | None]:
    """The host, in the one spelling that is compared, and the port if one is given."""
    found = AUTHORITY.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or port == 0 or (port or 0) > 65535:
        raise Refused("This is not a host and a port.")
    return (six(found["six"]) if found["six"] else name(found["name"].lower())), port


def six(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise Refused("This is not an address of version 6.") from None


def name(text: str) -> str:
    """A name, or four plain decimal numbers: other ways to write an address are refused."""
    labels = text.split(".")
    if len(text) > LONGEST_NAME or not all(LABEL.fullmatch(label) for label in labels):
        raise Refused("This is not a host name.")
    if NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise Refused("An address of version 4 is four plain decimal numbers.") from None
    return text


def entry(text: str, *, with_port: bool) -> str:
    """One entry of the operator's list, in the spelling that is compared. Raises Refused."""
    is_bare = text.count(":") > 1 and "[" not in text
    host, port = authority(bracketed(text) if is_bare else text)
    if port is not None and not with_port:
        raise Refused("A port is not given here.")
    return host if port is None else joined(host, port)


# What the name servers say


def resolve(destination: Destination, *, seconds: float) -> Endpoint:
    """Where to connect, looked up once. Raises Refused if any of the answers is not allowed."""
    found = [Endpoint(one[0], one[4]) for one in look_up(destination, seconds)]
    if not found:
        raise NotSent("The host name has no address.")
    for endpoint in found:
        require_allowed(destination, str(endpoint.at[0]))
    return found[0]


def require_allowed(destination: Destination, address: str) -> None:
    if not destination.is_listed:
        if not is_public(address):
            raise Refused("The host is in a private network.", can_be_listed=True)
    elif is_never_meant(address) and address != destination.host:
        raise Refused("The listed host turned out to be at an address that no host is listed for.")


def look_up(destination: Destination, seconds: float) -> list[Any]:
    """Ask the name servers, in a thread, because nothing else bounds how long that takes."""
    answers: list[Any] = []
    faults: list[Exception] = []

    def ask() -> None:
        try:
            answers.extend(
                socket.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM)
            )
        except Exception as error:
            faults.append(error)

    asking = threading.Thread(target=ask, name="look-up", daemon=True)
    asking.start()
    asking.join(max(seconds, 0))
    if asking.is_alive():
        raise NotSent("Looking up the host name took too long.")
    if faults:
        raise NotSent("The host name cannot be looked up.")
    return answers


def is_public(text: str) -> bool:
    """Whether an address is one of the internet at large, also when it is wrapped in another."""
    try:
        address = unwrapped(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address not in UNICAST:
        return False
    if any(address in network for network in SPECIAL):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def is_never_meant(text: str) -> bool:
    """Whether it is no single host, or where machines in a cloud are given their credentials."""
    try:
        address = unwrapped(text)
    except ValueError:
        return True
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or str(address) in METADATA
    )


def unwrapped(text: str) -> Address:
    """An address, or the one of version 4 that it stands for. Raises ValueError."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address
