"""Who watches this machine asks it by its address, which is no name that the site is served by.

So where nothing in the answer depends on a host, none is asked for: `/healthz`, `/readyz`, and the
numbers for who may have them. For everything else the list of hosts holds as Django has it.
"""

from ipaddress import ip_address

from django.http import HttpRequest
from django.http.request import split_domain_port
from django.http.response import HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

from approvals_site.metrics import has_token

LOOKS = frozenset({"GET", "HEAD"})
OF_HEALTH = frozenset({"/healthz", "/readyz"})


class HostOrProbe(CommonMiddleware):
    """Django's own, which refuses hosts that are not listed, except to a probe."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if is_probe(request) else super().process_request(request)


def is_probe(request: HttpRequest) -> bool:
    """Whether this only looks at one of these very paths.

    A name without the token is not enough for the numbers. What asks from this machine needs none,
    and may be a browser with a stranger's page, whose name was made to lead here.
    """
    if request.method not in LOOKS:
        return False
    if request.path_info == "/metrics":
        return has_token(request) or not has_name(request)
    return request.path_info in OF_HEALTH


def has_name(request: HttpRequest) -> bool:
    """Whether it was reached by a name: neither by an address nor without a word about it."""
    host = request.META.get("HTTP_HOST", "")
    domain, _ = split_domain_port(host)
    try:
        ip_address(domain.strip("[]"))
    except ValueError:
        return host != ""
    return False
