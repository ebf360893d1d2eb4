"""Encryption on the way to the mail server: used where it is asked for, and the server is checked.

A real server with a certificate of its own making, trusted or not.
"""

import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proposals.exceptions import TargetUnavailable
from tests.mail_fixture import Script, ScriptedServer
from tests.post import serving
from tests.proposals.test_email_send import send

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("in_force")]
PASSWORD = "planted-Secret-77aa"


class TlsScript(Script):
    """The same conversation, encrypted from the start or from STARTTLS on."""

    def setup(self) -> None:
        if self.server.is_implicit:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def act(self, step: str, usual: str) -> bool:
        if step != "STARTTLS":
            return super().act(step, usual)
        self.say("220 Go on")
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.server.heard.clear()
        super().setup()
        return True


class TlsServer(ScriptedServer):
    def __init__(self, context: ssl.SSLContext, *, is_implicit: bool) -> None:
        super().__init__()
        self.RequestHandlerClass = TlsScript
        self.context, self.is_implicit = context, is_implicit
        self.script["EHLO"] = "250-scripted.test\n250-STARTTLS\n250 AUTH PLAIN"
        self.released = threading.Event()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a key and a certificate for localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(params=["starttls", "tls"])
def encrypted(request, certificate, settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(TlsServer(context, is_implicit=request.param == "tls")) as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "localhost", server.port
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", PASSWORD
        settings.EMAIL_USE_TLS = request.param == "starttls"
        settings.EMAIL_USE_SSL = request.param == "tls"
        settings.MAIL_IS_ON = True
        yield server


def test_a_server_that_proves_who_it_is_gets_the_mail(encrypted, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert send().evidence["reference"] == "4F1A9C"
    assert encrypted.ended == 1
    verbs = [line.split()[0].upper() for line in encrypted.heard]
    assert verbs[:5] == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA"], "all of it after encryption"


def test_a_server_that_anybody_could_be_gets_neither_mail_nor_password(encrypted):
    with pytest.raises(TargetUnavailable, match=r"certificate verify failed|CERTIFICATE"):
        send()
    assert not [line for line in encrypted.heard if line.startswith(("AUTH", "MAIL"))]
    assert encrypted.ended == 0


def test_a_server_of_another_name_gets_neither(encrypted, certificate, monkeypatch, settings):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    settings.EMAIL_HOST = "127.0.0.1"
    with pytest.raises(TargetUnavailable, match=r"certificate verify failed|CERTIFICATE"):
        send()
    assert not [line for line in encrypted.heard if line.startswith(("AUTH", "MAIL"))]
    assert encrypted.ended == 0


@pytest.mark.parametrize("encrypted", ["tls"], indirect=True)
def test_a_server_that_drips_in_the_middle_of_the_handshake_is_left_in_time(encrypted, monkeypatch):
    monkeypatch.setattr("proposals.actions.smtp.DEADLINE_SECONDS", 0.3)
    encrypted.context.sni_callback = lambda *told: encrypted.released.wait(20)
    with pytest.raises(TargetUnavailable, match="took longer than"):
        send()
    assert encrypted.ended == 0
