"""The operator's lists of hosts that may be reached wherever they are."""

from collections.abc import Collection

from django.core.exceptions import ImproperlyConfigured

from proposals.outbound import addresses


def hosts(listed: Collection[str], *, setting: str, with_ports: bool = False) -> frozenset[str]:
    """Names or addresses, in the spelling that is compared; no pattern, user or path."""
    found = set()
    takes = "takes host names or addresses" + (", each with a port or without" * with_ports)
    for text in listed:
        try:
            found.add(addresses.entry(text, with_port=with_ports))
        except addresses.Refused as refusal:
            raise ImproperlyConfigured(f"{setting} lists {text!r}; it {takes}. {refusal}") from None
    return frozenset(found)
