"""The demonstration's mail server: a real conversation, and the page where its mails are read."""

import smtplib
import subprocess
import sys
import urllib.error
import urllib.request
from email.message import EmailMessage

import pytest

from proposals.demonstration import mailbox
from tests.installations import free_port
from tests.processes import ROOT, eventually

pytestmark = [pytest.mark.once, pytest.mark.processes]


class Mailbox:
    """The process, and whoever writes to it and reads in it."""

    def __init__(self, folder) -> None:
        self.folder, self.port, self.page_port = folder, free_port(), free_port()

    def start(self):
        where = ["--folder", str(self.folder), "--port", str(self.port)]
        self.child = subprocess.Popen(
            [
                *[sys.executable, "-m", "proposals.demonstration.mailbox", *where],
                *["--page-port", str(self.page_port)],
            ],
            cwd=ROOT,
        )
        eventually(self.answers, what="the mail server")
        return self

    def answers(self) -> bool:
        try:
            with self.connection() as smtp:
                return smtp.noop()[0] == 250
        except OSError:
            return False

    def stop(self) -> int:
        self.child.terminate()
        return self.child.wait(timeout=10)

    def connection(self):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=10)

    def send(self, text="Hello.", *, to="rita@shop.example", subject="A question"):
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = subject, "ada@shop.example", to
        message.set_content(text)
        with self.connection() as smtp:
            return smtp.send_message(message)

    def read(self, path="/", host=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.page_port}{path}")
        if host:
            request.add_header("Host", host)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()


@pytest.fixture(scope="module")
def post(tmp_path_factory):
    started = Mailbox(tmp_path_factory.mktemp("mailbox")).start()
    yield started
    started.stop()


class TestTheMailServer:
    def test_keeps_what_it_took_and_shows_it(self, post):
        post.send(".starts with a dot\nGrüße, Zoë\n", subject="Über <b>alles</b>")
        status, page = post.read()
        assert status == 200
        assert "Über &lt;b&gt;alles&lt;/b&gt;" in page
        assert "rita@shop.example" in page
        number = mailbox.Mails(post.folder / "demonstration-mail.sqlite3").newest()[0]["number"]
        page = post.read(f"/mail/{number}")[1]
        assert ".starts with a dot\nGrüße, Zoë" in page
        assert "<b>" not in page
        assert "Subject:" in post.read(f"/mail/{number}/raw")[1]

    def test_makes_a_link_only_of_what_leads_to_this_machine(self, post):
        post.send('See http://127.0.0.1:8000/join/x-1/ or http://evil.example/"><script>x')
        number = mailbox.Mails(post.folder / "demonstration-mail.sqlite3").newest()[0]["number"]
        page = post.read(f"/mail/{number}")[1]
        assert '<a href="http://127.0.0.1:8000/join/x-1/">' in page
        assert 'href="http://evil' not in page
        assert "<script" not in page

    def test_refuses_a_mailbox_that_does_not_exist_and_a_mail_too_large(self, post):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            post.send(to="nobody@shop.example")
        assert refused.value.recipients == {"nobody@shop.example": (550, b"No such mailbox here")}
        with pytest.raises(smtplib.SMTPException) as refused:
            post.send("x" * 70 + "\n" + "y" * mailbox.MAX_MAIL_BYTES)
        assert "552" in str(refused.value)

    def test_shows_nothing_under_another_name_of_this_machine(self, post):
        assert post.read("/", host="evil.example")[0] == 421
        assert post.read("/mail/999999")[0] == 404
        assert post.read("/mail/x")[0] == 404

    def test_keeps_its_mails_over_a_restart(self, tmp_path):
        post = Mailbox(tmp_path).start()
        try:
            assert post.send(subject="Kept") == {}
            assert post.stop() == 0
            post.start()
            assert "Kept" in post.read()[1]
        finally:
            post.stop()


def test_only_the_newest_mails_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(mailbox, "KEPT_MAILS", 2)
    mails = mailbox.Mails(tmp_path / "mail.sqlite3")
    for number in range(4):
        mails.keep("a@x.example", ["b@x.example"], f"Subject: {number}\r\n\r\n".encode())
    assert [str(mailbox.message(kept)["Subject"]) for kept in mails.newest()] == ["3", "2"]


def test_a_mail_without_readable_text_is_shown_all_the_same(tmp_path):
    mails = mailbox.Mails(tmp_path / "mail.sqlite3")
    for raw in (
        b"Content-Type: text/html\r\n\r\n<b>x</b>",
        b"Content-Type: text/plain; charset=no-such\r\n\r\nx",
        b"",
        b"\xff\xfe\r\n\r\n",
    ):
        number = mails.keep("", [], raw)
        assert "<pre>" in mailbox.one(mails.get(str(number)))
    assert "(no subject)" in mailbox.overview(mails)
