"""No address leads where it may not: canaries on loopback, and nobody who connects to them."""

import socket

import pytest

from proposals.outbound import addresses
from proposals.outbound.client import NotSent, Request, exchange
from tests.proposals.outbound.payloads import NAMES, payloads
from tests.proposals.outbound.servers import Names, plain, server

pytestmark = pytest.mark.once
MET = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary"
LOOPBACK = ["127.0.0.1", "127.0.0.2", "127.0.0.53", "::1"]


@pytest.fixture
def connections(monkeypatch):
    """Every address that this process tried to connect to."""
    tried, real = [], socket.socket.connect

    def connect(sock, address):
        tried.append(address)
        return real(sock, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return tried


@pytest.fixture
def names(monkeypatch):
    told = Names(monkeypatch, hooks__example=[["93.184.216.34"]])
    told.answers |= {name: [answers] for name, answers in NAMES.items()}
    return told


@pytest.fixture
def canaries():
    """Servers on several addresses of loopback, at one port."""
    with server(plain(MET)) as first:
        rest = [server(plain(MET), at=(host, first.port)) for host in LOOPBACK[1:]]
        found = [first, *(one.__enter__() for one in rest)]
        yield found
        for one in rest:
            one.__exit__(None, None, None)


def met(canaries) -> int:
    """How many connections canaries had. What comes first is accepted first, so ask them last."""
    for host, canary in zip(LOOPBACK, canaries, strict=True):
        url = f"http://{addresses.joined(host, canary.port)}/"
        answer = exchange(Request("GET", url), listed={addresses.joined(host, canary.port)})
        assert answer.body == b"canary"  # it is alive, and reached where it is listed
    return sum(canary.reached for canary in canaries) - len(canaries)


def test_no_payload_reaches_a_canary_however_it_is_written(names, canaries, connections):
    port = canaries[0].port
    listed = {"hooks.example", f"hooks.example:{port}"}
    asked = 0
    for url in payloads(port):
        for form in {url, url.replace("https:", "http:")}:
            for any_port in (True, False):
                asked += 1
                with pytest.raises(NotSent):
                    exchange(Request("GET", form), listed=listed, any_port=any_port, seconds=2)
                assert not connections, form
    reached = met(canaries)
    print(f"{len(payloads(port))} addresses, asked for {asked} times, reached a canary: {reached}")
    assert len(set(payloads(port))) >= 60
    assert reached == 0


def test_no_redirection_leads_to_a_canary(names, canaries, connections):
    places = [f"http://{addresses.joined(host, canaries[0].port)}/" for host in LOOPBACK]
    urls = [*payloads(canaries[0].port), *places, "/elsewhere", "//127.0.0.1/"]
    statuses = [301, 302, 303, 307, 308]
    with server() as redirecting:
        for number, url in enumerate(urls):
            status = statuses[number % len(statuses)]
            where = "".join(sign for sign in url if sign not in "\r\n").encode()
            redirecting.behave = plain(
                b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nRefresh: 0; url=%s\r\n"
                b"Content-Length: 0\r\n\r\n" % (status, where, where)
            )
            url = f"http://{redirecting.place}/"
            answer = exchange(Request("POST", url), listed={redirecting.place})
            assert answer.status == status
        assert redirecting.reached == len(urls)
        assert set(connections) == {("127.0.0.1", redirecting.port)}
    reached = met(canaries)
    print(f"{len(urls)} redirections, reached a canary: {reached}")
    assert reached == 0


class TestANameThatChangesItsMind:
    """The honest server is at 127.0.0.2, which passes for public here; the canary at 127.0.0.1."""

    @pytest.fixture(autouse=True)
    def _public(self, monkeypatch):
        monkeypatch.setattr(addresses, "is_public", lambda text: text == "127.0.0.2")

    def test_is_asked_once_and_connected_to_at_its_first_answer(self, monkeypatch):
        told = Names(monkeypatch, rebinding__test=[["127.0.0.2"], ["127.0.0.1"]])
        with server(plain(MET)) as canary, server(at=("127.0.0.2", canary.port)) as honest:
            honest.listens = False  # it speaks no TLS, and we see that it is there that we were
            honest.behave = plain(MET)
            url = f"https://rebinding.test:{canary.port}/"
            with pytest.raises(NotSent, match="No connection"):
                exchange(Request("GET", url), listed=frozenset(), any_port=True)
            assert told.asked == ["rebinding.test"]
            assert (honest.reached, canary.reached) == (1, 0)
        assert told.getaddrinfo("rebinding.test", 1)[0][4][0] == "127.0.0.1"

    def test_is_refused_when_one_of_its_answers_is_private(self, monkeypatch, connections):
        told = Names(monkeypatch, mixed__test=[["127.0.0.2", "127.0.0.1"]])
        with server(plain(MET)) as canary:
            url = f"https://mixed.test:{canary.port}/"
            with pytest.raises(NotSent, match="private network"):
                exchange(Request("GET", url), listed=frozenset(), any_port=True)
            assert (told.asked, connections, canary.reached) == (["mixed.test"], [], 0)


def test_no_proxy_of_the_environment_is_asked(monkeypatch, connections):
    with server(plain(MET)) as proxy, server(plain(MET)) as honest:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.place}")
            monkeypatch.setenv(name.upper(), f"http://{proxy.place}")
        exchange(Request("GET", f"http://{honest.place}/"), listed={honest.place})
        assert connections == [("127.0.0.1", honest.port)]
