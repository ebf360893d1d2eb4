"""Which addresses may be asked for, which hosts are listed, and what a name may turn out to be."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from django.core.exceptions import ImproperlyConfigured

from approvals_site.outbound import hosts
from proposals.outbound import addresses
from proposals.outbound.addresses import NotSent, Refused, examine, resolve
from tests.processes import ROOT
from tests.proposals.outbound.servers import Names

pytestmark = pytest.mark.once
NOBODY = frozenset()


class TestAnAddress:
    def test_is_taken_apart_in_one_spelling(self):
        found = examine("HTTPS://Hooks.Example:443/a/b?c=d", listed=NOBODY)
        assert (found.host, found.port, found.path) == ("hooks.example", 443, "/a/b?c=d")
        assert (found.is_https, found.is_listed) == (True, False)
        assert examine("https://h.example?x", listed=NOBODY).path == "/?x"

    @pytest.mark.parametrize(
        ("url", "authority"),
        [
            ("https://h.example/", "h.example"),
            ("https://h.example:443/", "h.example"),
            ("https://h.example:80/", "h.example:80"),
            ("https://[2606:2800:220:1::0:1]/", "[2606:2800:220:1::1]"),
            ("https://[2606:2800:220:1::1]:80/", "[2606:2800:220:1::1]:80"),
        ],
    )
    def test_names_its_host_as_the_header_has_it(self, url, authority):
        assert examine(url, listed=NOBODY).authority == authority

    def test_shows_no_path_where_it_is_printed(self):
        assert "T0K3N" not in repr(examine("https://h.example/T0K3N?x=T0K3N", listed=NOBODY))

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "ftp://hooks.example/",
            "https://",
            "https:///x",
            "hooks.example",
            "//hooks.example/",
            "https://user:pw@hooks.example/",
            "https://user@hooks.example/",
            "https://@hooks.example/",
            "https://hooks.example/#there",
            "https://hooks.example/#",
            "https://hooks.example:99999/",
            "https://hooks.example:0/",
            "https://hooks.exa\u200bmple/",
            "https://hooks.example/a b",
            "https://hooks.example\\@evil.example/",
            "https://[::1/",
            "https://[::1]x/",
            "https://hooks..example/",
            "https://hooks.example./",
            "https://-hooks.example/",
            f"https://{'a' * 64}.example/",
            f"https://{'a.' * 130}example/",
            "file:///etc/passwd",
            "https://hooks.example/\r\nX-Injected: 1",
        ],
    )
    def test_that_means_something_else_is_refused(self, url):
        with pytest.raises(Refused):
            examine(url, listed=NOBODY, any_port=True)


class TestTheOperatorsList:
    LISTED = frozenset({"chat.internal", "vendor.example:8443", "fd00::5", "[fd00::6]:8080"})

    @pytest.mark.parametrize(
        "url",
        [
            "http://chat.internal/",
            "https://Chat.Internal/",
            "https://vendor.example:8443/",
            "http://vendor.example:8443/",
            "http://[fd00::5]/",
            "http://[FD00:0::6]:8080/",
        ],
    )
    def test_lets_a_host_be_without_tls_and_at_the_port_it_names(self, url):
        assert examine(url, listed=self.LISTED).is_listed

    @pytest.mark.parametrize(
        "url",
        [
            "http://hooks.example/",
            "https://hooks.example:8443/",
            "https://chat.internal:8443/",
            "http://vendor.example/",
            "https://vendor.example:8444/",
            "http://x.chat.internal/",
            "http://[fd00::6]/",
        ],
    )
    def test_lets_no_other_be_so_and_says_what_would(self, url):
        with pytest.raises(Refused, match="lists its host") as refusal:
            examine(url, listed=self.LISTED)
        assert refusal.value.can_be_listed

    def test_of_a_host_says_nothing_of_the_same_host_elsewhere(self):
        assert not examine("https://vendor.example/", listed=self.LISTED).is_listed

    def test_holds_for_every_port_where_ports_do_not_count(self):
        assert examine("http://chat.internal:99/", listed=self.LISTED, any_port=True).is_listed

    def test_is_read_in_one_spelling(self):
        assert hosts(["Chat.internal", "10.0.0.5", "FD00:0::5"], setting="X") == {
            "chat.internal",
            "10.0.0.5",
            "fd00::5",
        }
        assert hosts(
            ["A.example:8443", "fd00::5", "[fd00:0::5]:80", "b_c"], setting="X", with_ports=True
        ) == {"a.example:8443", "fd00::5", "[fd00::5]:80", "b_c"}

    @pytest.mark.parametrize(
        "host", ["*", "*.example", "a.example/x", "", "u@a.example", "http://a", "a b", "0x7f.1"]
    )
    @pytest.mark.parametrize("with_ports", [True, False])
    def test_holds_no_pattern(self, host, with_ports):
        with pytest.raises(ImproperlyConfigured, match="COUNTERSIGN_HTTP_HOSTS lists"):
            hosts([host], setting="COUNTERSIGN_HTTP_HOSTS", with_ports=with_ports)

    def test_is_read_at_the_start_which_is_refused_when_it_cannot_be(self, tmp_path):
        def start(hosts):
            ours = {"COUNTERSIGN_DATA": str(tmp_path), "COUNTERSIGN_HTTP_HOSTS": hosts, "DEMO": "0"}
            env = os.environ | ours
            say = "from approvals_site import settings; print(sorted(settings.HTTP_HOSTS))"
            command = [sys.executable, "-c", say]
            return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)

        assert start("A.internal:81,10.0.0.5").stdout == "['10.0.0.5', 'a.internal:81']\n"
        refused = start("a.internal,*.internal")
        assert refused.returncode != 0
        assert "COUNTERSIGN_HTTP_HOSTS lists '*.internal'" in refused.stderr

    @pytest.mark.parametrize("host", ["a.example:80", "[fd00::5]:80"])
    def test_of_webhooks_holds_no_port(self, host):
        with pytest.raises(ImproperlyConfigured, match="COUNTERSIGN_WEBHOOK_HOSTS"):
            hosts([host], setting="COUNTERSIGN_WEBHOOK_HOSTS")

    @pytest.mark.parametrize("host", ["a.example:0", "a.example:99999", "a:b", "fd00::5:x"])
    def test_holds_no_port_that_is_none(self, host):
        with pytest.raises(ImproperlyConfigured):
            hosts([host], setting="X", with_ports=True)


class TestWhatIsPublic:
    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1%eth0",
            "fc00::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "2002:0a00:0001::1",
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
            "nonsense",
        ],
    )
    def test_is_no_address_of_another_kind(self, address):
        assert not addresses.is_public(address)

    @pytest.mark.parametrize(
        "address", ["93.184.216.34", "2606:2800:220:1::1", "8.8.8.8", "64:ff9b::8.8.8.8"]
    )
    def test_is_an_address_of_the_internet(self, address):
        assert addresses.is_public(address)


class TestLookingUp:
    def test_refuses_a_name_with_one_private_address_among_public_ones(self, monkeypatch):
        Names(monkeypatch, hooks__example=[["93.184.216.34", "10.0.0.1"]])
        with pytest.raises(Refused, match="private network") as refusal:
            resolve(examine("https://hooks.example/", listed=NOBODY), seconds=5)
        assert refusal.value.can_be_listed

    def test_takes_the_first_of_several_public_addresses(self, monkeypatch):
        Names(monkeypatch, hooks__example=[["2606:2800:220:1::1", "93.184.216.34"]])
        found = resolve(examine("https://hooks.example/", listed=NOBODY), seconds=5)
        assert (found.family, found.at[:2]) == (socket.AF_INET6, ("2606:2800:220:1::1", 443))

    @pytest.mark.parametrize(
        "address",
        ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "fe80::1", "0.0.0.0", "::"],
    )
    def test_refuses_a_listed_name_that_leads_to_the_credentials_of_a_cloud(
        self, monkeypatch, address
    ):
        Names(monkeypatch, chat__internal=[[address]])
        with pytest.raises(Refused, match="no host is listed for"):
            resolve(examine("https://chat.internal/", listed={"chat.internal"}), seconds=5)

    def test_lets_the_operator_list_such_an_address_itself(self):
        place = examine("http://169.254.169.254/", listed={"169.254.169.254"})
        assert resolve(place, seconds=5).at == ("169.254.169.254", 80)

    @pytest.mark.parametrize("answers", [[], ["nonsense"]])
    def test_lets_nothing_through_that_is_no_address(self, monkeypatch, answers):
        Names(monkeypatch, hooks__example=[answers])
        with pytest.raises(NotSent):
            resolve(examine("https://hooks.example/", listed=NOBODY), seconds=5)

    def test_of_a_name_that_nobody_knows_is_no_refusal(self, monkeypatch):
        Names(monkeypatch)
        with pytest.raises(NotSent, match="cannot be looked up") as failure:
            resolve(examine("https://nobody.example/", listed=NOBODY), seconds=5)
        assert not isinstance(failure.value, Refused)

    def test_is_not_waited_for_longer_than_there_is_time(self, monkeypatch):
        released = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: released.wait(20) and [])
        started = time.monotonic()
        with pytest.raises(NotSent, match="took too long"):
            resolve(examine("https://slow.example/", listed=NOBODY), seconds=0.1)
        released.set()
        assert time.monotonic() - started < 5
