"""An answer, nothing sent, or no answer: what each way to misbehave comes to, with real servers."""

import socket
import threading
import time
import traceback

import pytest

from proposals.outbound import client
from proposals.outbound.client import Answer, NoAnswer, NotSent, Refused, Request, exchange
from tests.proposals.outbound.servers import Names, plain, self_signed, server

pytestmark = pytest.mark.once
SHORT = 0.4
OK = b"HTTP/1.1 200 OK\r\n"
SECRET = "zq-5ecr3t"


def ask(
    one, *, method="POST", body=b"{}", seconds=SHORT, path=f"/x?token={SECRET}", **more
) -> Answer:
    headers = more.pop("headers", {"Authorization": f"Bearer {SECRET}"})
    request = Request(method, f"http://{one.place}{path}", headers, body)
    return exchange(request, listed={one.place}, seconds=seconds, **more)


def long_after(started: float) -> bool:
    """Whether it took much longer than it may; the machine may be busy."""
    return time.monotonic() - started > SHORT + 3


NO_ANSWER = {
    "says nothing": lambda session: session.wait(),
    "hangs up": lambda session: None,
    "crashes": lambda session: session.reset(),
    "drips its head": lambda session: session.drip(OK + b"X: " + b"x" * 999),
    "drips its body": lambda session: session.drip(
        OK + b"Content-Length: 999\r\n\r\n" + b"x" * 999
    ),
    "drips chunks": lambda session: session.drip(
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 99
    ),
    "drips without a length": lambda session: session.drip(OK + b"\r\n" + b"x" * 999),
    "crashes in its body": lambda session: (
        session.say(OK, b"Content-Length: 9\r\n\r\nhalf"),
        session.wait(0.05),
        session.reset(),
    ),
    "has less than it announced": plain(OK + b"Content-Length: 9\r\n\r\nhalf"),
    "has nothing of what it announced": plain(OK + b"Content-Length: 9\r\n\r\n"),
    "is cut off in a chunk": plain(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"),
    "is cut off between chunks": plain(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    "is cut off in its last chunk": plain(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0"),
    "has a chunk of no length": plain(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n"),
    "has a chunk of less than nothing": plain(
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhalf\r\n0\r\n\r\n"
    ),
    "is cut off in its status": plain(b"HTTP/1.1 200"),
    "is cut off after its status": plain(OK),
    "is cut off in its head": plain(OK + b"Content-Le"),
    "is cut off before its body": plain(OK + b"Content-Length: 2\r\n"),
    "is no HTTP": plain(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "is noise": plain(bytes(range(256)) * 9),
    "is the request": lambda session: session.say(*session.server.heard),
    "is HTTP/2": plain(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64\0\4\0\xa0\0\0\0\2\0\0\0\0"),
    "says it is HTTP/2": plain(b"HTTP/2.0 200 OK\r\n\r\n"),
    "has a status that is none": plain(b"HTTP/1.1 20x OK\r\n\r\n"),
    "has an endless status": lambda session: session.flood(b"HTTP/1.1 200 OK"),
    "has endless headers": lambda session: (session.say(OK), session.flood(b"X-More: of it\r\n")),
    "has a header without an end": lambda session: (session.say(OK), session.flood(b"x" * 999)),
    "has a line that is no header": plain(OK + b"nonsense\r\nContent-Length: 2\r\n\r\nok"),
    "is never final": lambda session: session.flood(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "is always early": lambda session: session.flood(b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"),
    "drips what is not final": lambda session: session.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    "is cut off after what is not final": plain(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "switches to something else": plain(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "has two lengths": plain(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!"),
    "has a length below nothing": plain(OK + b"Content-Length: -2\r\n\r\nok"),
    "has a length that is none": plain(OK + b"Content-Length: two\r\n\r\nok"),
    "is packed": plain(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "has endless trailers": lambda session: (
        session.say(OK, b"Transfer-Encoding: chunked\r\n\r\n0\r\n"),
        session.flood(b"X-More: of it\r\n" * 99),
    ),
    "has endless names of chunks": lambda session: (
        session.say(OK, b"Transfer-Encoding: chunked\r\n\r\n2;"),
        session.flood(b"x" * 999),
    ),
}
ENDLESS = [
    "has an endless status",
    "has endless headers",
    "has a header without an end",
    "is never final",
    "is always early",
    "has endless trailers",
    "has endless names of chunks",
]


class TestNoAnswer:
    @pytest.mark.parametrize("kind", NO_ANSWER)
    def test_is_told_of_a_server_whose_answer(self, kind):
        started = time.monotonic()
        with server(NO_ANSWER[kind]) as one:
            with pytest.raises(NoAnswer, match=r"No complete answer: .+[.]$") as failure:
                ask(one, most=9999)
            assert one.reached == 1  # and nothing was tried again
            assert SECRET.encode() in one.heard[0]
        assert not long_after(started)
        assert SECRET not in "".join(traceback.format_exception(failure.value))

    def test_is_told_when_sending_fails_half_way(self):
        with server(lambda session: (session.wait(0.05), session.reset())) as one:
            one.listens = False
            with pytest.raises(NoAnswer):
                ask(one, body=b"x" * 30_000_000, seconds=5)

    def test_is_told_when_nobody_takes_what_is_sent(self):
        started = time.monotonic()
        with server(lambda session: session.wait()) as one:
            one.listens = False
            with pytest.raises(NoAnswer, match="took too long"):
                ask(one, body=b"x" * 30_000_000)
        assert not long_after(started)

    def test_is_told_whatever_goes_wrong_inside(self, monkeypatch):
        monkeypatch.setattr(client, "headers_of", lambda response: 1 / 0)
        whole = plain(OK + b"Content-Length: 2\r\n\r\nok")
        with server(whole) as one, pytest.raises(NoAnswer, match="ZeroDivisionError"):
            ask(one)

    @pytest.mark.parametrize("kind", ENDLESS)
    def test_does_not_take_until_the_deadline_when_it_says_more_than_it_may(self, kind):
        says = r"says more than it may|is not HTTP"
        with server(NO_ANSWER[kind]) as one, pytest.raises(NoAnswer, match=says):
            ask(one, most=9999, seconds=20)


class TestNotSent:
    def test_is_told_of_whatever_goes_wrong_before_there_is_a_connection(self):
        with server() as one:
            with pytest.raises(NotSent, match="TypeError"):
                ask(one, body="a text is no bytes")
            assert one.reached == 0

    def test_is_told_when_nobody_listens(self):
        with server() as one:
            pass
        with pytest.raises(NotSent, match="No connection: it was refused"):
            ask(one)

    def test_is_told_when_no_connection_is_taken(self):
        """A queue of one that is full: what comes next gets no answer to its first packet."""
        started = time.monotonic()
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"
            with pytest.raises(NotSent, match="took too long"):
                exchange(Request("GET", url), listed={url[7:-1]}, seconds=SHORT)
            for one in waiting:
                one.close()
        assert not long_after(started)

    def test_is_told_when_no_name_server_answers(self, monkeypatch):
        started, released = time.monotonic(), threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: released.wait(20) and [])
        with pytest.raises(NotSent, match="took too long"):
            exchange(Request("GET", "https://h.example/"), listed=frozenset(), seconds=SHORT)
        released.set()
        assert not long_after(started)

    @pytest.mark.parametrize(
        "behave",
        [
            plain(OK + b"\r\n"),
            lambda session: session.wait(),
            lambda session: None,
            lambda session: session.reset(),
            lambda session: session.drip(
                b"\x16\x03\x03\x40\x00" + b"\x02\x00\x3f\xfc" + b"\x03" * 99
            ),
        ],
        ids=["plain", "silent", "hangs up", "crashes", "drips"],
    )
    def test_is_told_when_tls_is_not_agreed_on(self, behave):
        started = time.monotonic()
        with server(behave) as one:
            one.listens = False
            with pytest.raises(NotSent, match="No connection: "):
                exchange(
                    Request("POST", f"https://{one.place}/"), listed={one.place}, seconds=SHORT
                )
            assert one.reached == 1
        assert not long_after(started)

    @pytest.mark.parametrize("host", ["wrong.test", "127.0.0.1"])
    def test_is_told_when_the_certificate_is_of_another(self, monkeypatch, tmp_path, host):
        Names(monkeypatch, wrong__test=[["127.0.0.1"]])
        certificate = self_signed(tmp_path, "right.test")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with server(plain(OK + b"\r\n")) as one:
            one.speak_tls(certificate)
            url = f"https://{host}:{one.port}/"
            with pytest.raises(NotSent, match=r"the certificate is not accepted .*mismatch"):
                exchange(Request("POST", url), listed={url[8:-1]})
            assert b"POST" not in b"".join(one.heard)

    def test_is_told_when_nobody_vouches_for_the_certificate(self, monkeypatch, tmp_path):
        Names(monkeypatch, right__test=[["127.0.0.1"]])
        with server(plain(OK + b"\r\n")) as one:
            one.speak_tls(self_signed(tmp_path, "right.test"))
            url = f"https://right.test:{one.port}/"
            with pytest.raises(NotSent, match=r"the certificate is not accepted .*self-signed"):
                exchange(Request("POST", url), listed={url[8:-1]})

    @pytest.mark.parametrize(
        "wrong",
        [
            {"headers": {"X-A": "b\r\nX-Injected: 1"}},
            {"headers": {"X-A": "b\nX-Injected: 1"}},
            {"headers": {"X-A": "b\r"}},
            {"headers": {"X-A": "b\0"}},
            {"headers": {"X-A": "b\x85c"}},
            {"headers": {"X-A": "b\u2028c"}},
            {"headers": {"X-A\r\nX-Injected": "1"}},
            {"headers": {"X-A: b\r\nX-B": "1"}},
            {"headers": {"X A": "1"}},
            {"headers": {"": "1"}},
            {"headers": {"X-A": "1", "x-a": "2"}},
            *({"headers": {name: "1"}} for name in ("Host", "content-length", "Expect", "TE")),
            {"headers": {"Transfer-Encoding": "chunked"}},
            {"headers": {"Connection": "keep-alive"}},
            {"method": "GET / HTTP/1.1\r\nX-Injected: 1\r\n\r\n"},
            {"method": "POST\n"},
            {"method": "CONNECT"},
            {"method": "post"},
            {"path": "/x\r\nX-Injected: 1"},
            {"path": "/x\nX-Injected: 1"},
            {"path": "/x HTTP/1.1"},
            {"path": "/\u010d\u010a"},
        ],
    )
    def test_is_told_of_a_request_that_would_be_read_as_another(self, wrong):
        with server() as one:
            with pytest.raises(Refused):
                ask(one, **wrong)
            assert one.reached == 0


class TestAnAnswer:
    def test_is_the_answer_to_exactly_what_was_asked(self):
        with server(
            plain(b"HTTP/1.1 201 Made\r\nX-A: 1\r\nx-a:  2\r\nContent-Length: 2\r\n\r\nok")
        ) as one:
            found = ask(one, headers={"X-Key": "k"}, body=b"caf\xc3\xa9", path="/a?b=c")
        assert (found.status, found.body, found.is_cut) == (201, b"ok", False)
        assert found.headers == {"x-a": "1, 2", "content-length": "2"}
        assert one.heard == [
            b"POST /a?b=c HTTP/1.1\r\nHost: " + one.place.encode() + b"\r\nConnection: close\r\n"
            b"Content-Length: 5\r\nAccept-Encoding: identity\r\nUser-Agent: Countersign\r\n"
            b"X-Key: k\r\n\r\ncaf\xc3\xa9"
        ]

    @pytest.mark.parametrize(
        ("method", "length"), [("GET", False), ("POST", True), ("DELETE", False)]
    )
    def test_to_a_request_without_a_body_says_so_where_one_is_expected(self, method, length):
        with server(plain(OK + b"Content-Length: 0\r\n\r\n")) as one:
            ask(one, method=method, body=b"")
        assert (b"Content-Length: 0" in one.heard[0]) is length

    @pytest.mark.parametrize(
        ("text", "status", "body"),
        [
            (OK + b"\r\nuntil the end", 200, b"until the end"),
            (OK + b"Content-Length: 2\r\n\r\nok, and more", 200, b"ok"),
            (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
            (
                OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;a=b\r\nk\r\n0\r\n\r\n",
                200,
                b"ok",
            ),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", 200, b"ok"),
            (b"HTTP/1.0 200 OK\r\n\r\nok", 200, b"ok"),
            (b"HTTP/1.1 204 None\r\n\r\n", 204, b""),
            (b"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n", 204, b""),
            (b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", 304, b""),
            (b"HTTP/1.1 302 Moved\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", 302, b""),
            (b"HTTP/1.1 429 Slow\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", 429, b""),
            (b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown", 503, b"down"),
            (b"HTTP/1.1 100 Go on\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", 200, b"ok"),
            (
                b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 3 + OK + b"Content-Length: 2\r\n\r\nok",
                200,
                b"ok",
            ),
        ],
    )
    def test_is_whatever_came_whole(self, text, status, body):
        with server(plain(text)) as one:
            found = ask(one)
        assert (found.status, found.body, found.is_cut) == (status, body, False)
        assert one.reached == 1

    def test_to_head_has_no_body_though_it_has_its_length(self):
        with server(plain(OK + b"Content-Length: 999\r\n\r\n")) as one:
            found = ask(one, method="HEAD", body=b"")
        assert (found.status, found.body, found.headers["content-length"]) == (200, b"", "999")

    @pytest.mark.parametrize(
        "behave",
        [
            plain(OK + b"Content-Length: 101\r\n\r\n" + b"x" * 101),
            plain(OK + b"Content-Length: 999999999999\r\n\r\n" + b"x" * 101),
            plain(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 101),
            lambda session: (session.say(OK, b"\r\n"), session.flood(b"x" * 999)),
            lambda session: (
                session.say(OK, b"Transfer-Encoding: chunked\r\n\r\n"),
                session.flood(b"9\r\nxxxxxxxxx\r\n"),
            ),
        ],
        ids=["by one", "by far", "in chunks", "endless", "in endless chunks"],
    )
    def test_that_is_too_long_is_cut_and_says_so(self, behave):
        with server(behave) as one:
            found = ask(one, most=100, seconds=5)
        assert (found.status, found.body, found.is_cut) == (200, b"x" * 100, True)

    def test_of_just_the_length_that_may_be_is_whole(self):
        with server(plain(OK + b"Content-Length: 100\r\n\r\n" + b"x" * 100)) as one:
            assert not ask(one, most=100).is_cut

    def test_over_tls_is_of_the_host_that_was_named(self, monkeypatch, tmp_path):
        Names(monkeypatch, right__test=[["127.0.0.1"]])
        certificate = self_signed(tmp_path, "right.test")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with server(plain(OK + b"Content-Length: 2\r\n\r\nok")) as one:
            one.speak_tls(certificate)
            url = f"https://right.test:{one.port}/"
            for _ in range(2):
                found = exchange(Request("GET", url), listed={url[8:-1]})
        assert found.body == b"ok"
        assert f"Host: right.test:{one.port}".encode() in one.heard[0]

    def test_and_its_request_show_nothing_of_themselves_where_they_are_printed(self):
        shown = repr(Request("POST", f"https://h/{SECRET}", {"A": SECRET}, SECRET.encode()))
        assert shown == "Request(method='POST')"
        assert SECRET not in repr(Answer(200, {"a": SECRET}, SECRET.encode()))
