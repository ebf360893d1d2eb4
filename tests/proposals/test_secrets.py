"""Passwords of other systems: encrypted, never shown, and no catastrophe when the key is lost."""

import io
import logging
import stat

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, RequestFactory, override_settings
from django.views.debug import ExceptionReporter

from ledger.models import LedgerEntry
from proposals import redaction, services, vault
from proposals.actions import tables
from proposals.models import Database, Secret
from proposals.targets import inspection, wiring
from tests.factories import make_person
from tests.target_fixture import DEFINITION, disconnect, paula

pytestmark = pytest.mark.django_db
FRAGMENT = "Secret-91c7"
PLANTED = "planted-Secret-91c7-\\'quoted"


@pytest.fixture(autouse=True)
def key_folder(settings, tmp_path, django_db_blocker):
    settings.DATA_DIR = tmp_path
    settings.SECRETS_KEY = ""
    with django_db_blocker.unblock():
        yield tmp_path
        disconnect()


def connect(password: str = PLANTED, name: str = "crm") -> Database:
    """A PostgreSQL that nobody answers for: what is tried here is where its password goes."""
    return services.connect_database(
        database=Database(
            name=name,
            engine="postgresql",
            host="127.0.0.1",
            port=1,
            database="crm",
            user="countersign_crm",
            tls="disable",
        ),
        password=password,
        person=paula(),
    )


def everything_stored() -> str:
    """Every value of every table of the product, history tables included."""
    found = []
    for model in apps.get_models(include_auto_created=True):
        if model._meta.managed and not model._meta.proxy:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")
                found += [
                    bytes(value).decode(errors="replace")
                    if isinstance(value, bytes | memoryview)
                    else str(value)
                    for row in cursor.fetchall()
                    for value in row
                ]
    return "\n".join(found)


def test_a_planted_secret_is_nowhere_but_in_the_vault(caplog, capsys, key_folder):
    paula_s = Client()
    paula_s.force_login(paula())
    sent = {
        "name": "crm",
        "engine": "postgresql",
        "host": "127.0.0.1",
        "port": "1",
        "database": "crm",
        "user": "countersign_crm",
        "password": PLANTED,
        "tls": "disable",
    }
    pages = [paula_s.post("/databases/add/", {**sent, "port": "0"})]
    pages.append(paula_s.post("/databases/add/", sent))
    assert Database.objects.count() == 1
    pages.append(paula_s.post("/databases/crm/change/", {**sent, "host": "not a host"}))
    pages.append(paula_s.post("/databases/crm/change/", sent))
    services.describe_table(database="crm", name="customers", definition=DEFINITION, person=paula())
    wiring.refresh()
    for address in ("/databases/", "/databases/crm/", "/databases/crm/change/"):
        pages.append(paula_s.get(address))
    pages.append(paula_s.post("/databases/crm/test/"))
    pages.append(paula_s.get("/databases/crm/tables/"))
    pages.append(paula_s.get("/databases/crm/tables/customers/"))
    logging.getLogger("proposals").error("It failed with %s", PLANTED)

    assert "cannot be reached" in pages[-3].content.decode()
    for page in pages:
        assert PLANTED not in page.content.decode()
        assert "planted-Secret" not in page.content.decode()
    stored = everything_stored()
    assert "countersign_crm" in stored, "the search looks where it should"
    assert "planted-Secret" not in stored
    for path in key_folder.rglob("*"):
        assert b"planted-Secret" not in path.read_bytes(), path
    assert "planted-Secret" not in capsys.readouterr().err
    assert vault.open_sealed("database:1", "") is None
    assert wiring.stored_password(Database.objects.get()) == (PLANTED, False)


def test_a_log_line_and_its_traceback_hide_it():
    redaction.remember(PLANTED)
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(redaction.Formatter("{message}", style="{"))
    log = logging.Logger("a test")
    log.addHandler(handler)
    try:
        raise ConnectionError(f"password={PLANTED} was refused")
    except ConnectionError:
        log.exception("With %s", {"password": PLANTED})
    assert "planted-Secret" not in out.getvalue()
    assert redaction.HIDDEN in out.getvalue()
    assert settings.LOGGING["formatters"]["plain"]["class"] == "proposals.redaction.Formatter"


@pytest.mark.parametrize("debug", [True, False])
def test_an_error_report_hides_it_in_forms_and_frames(debug):
    redaction.remember(PLANTED)
    request = RequestFactory().post("/databases/add/", {"password": PLANTED, "host": "db"})
    conninfo = f"host=db password={PLANTED}"
    params = {"nested": {"pass": PLANTED}}
    try:
        raise RuntimeError(f"{len(conninfo)} {len(params)}")
    except RuntimeError as error:
        with override_settings(DEBUG=debug):
            reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
            html, text = reporter.get_traceback_html(), reporter.get_traceback_text()
    assert FRAGMENT not in html
    assert FRAGMENT not in text


def test_an_error_of_the_driver_is_told_without_it():
    redaction.remember(PLANTED)
    told = inspection.plain(Exception(f"FATAL: bad password {PLANTED} for you"))
    assert told == f"bad password {redaction.HIDDEN} for you."


class TestTheKey:
    def test_is_made_with_the_first_secret_and_readable_by_its_owner_alone(self, key_folder):
        assert not vault.path().exists()
        connect()
        assert stat.S_IMODE(vault.path().stat().st_mode) == 0o600

    def test_that_others_can_read_is_refused(self):
        connect()
        vault.path().chmod(0o644)
        with pytest.raises(vault.VaultProblem, match="chmod 600"):
            vault.keys()

    def test_from_the_environment_goes_before_the_file(self, settings):
        settings.SECRETS_KEY = Fernet.generate_key().decode()
        connect()
        assert not vault.path().exists()

    @pytest.mark.parametrize("loss", ["gone", "damaged", "another"])
    def test_that_is_lost_means_to_enter_the_password_again_and_no_crash(self, loss, crm_page):
        connect()
        services.describe_table(
            database="crm", name="customers", definition=DEFINITION, person=paula()
        )
        if loss == "gone":
            vault.path().unlink()
        else:
            key = "no key" if loss == "damaged" else Fernet.generate_key().decode()
            vault.path().write_text(key)
        disconnect()
        wiring.refresh()
        assert "crm.customers" not in tables.tables()
        assert "Enter the password again" in tables.current().closed["crm.customers"]
        assert "It needs its password again" in crm_page()
        if loss == "damaged":
            vault.path().unlink()
        database = Database.objects.get()
        place = {field: getattr(database, field) for field in services.databases.PLACE}
        services.change_database(
            name="crm", changes=place, password="another-One-5502", person=paula()
        )
        wiring.refresh()
        assert "crm.customers" in tables.tables()
        assert "It needs its password again" not in crm_page()

    def test_opens_no_secret_that_was_moved_to_another_name(self):
        connect()
        other = connect("another-One-5502", name="other")
        stolen = Secret.objects.exclude(name=other.secret_name).get()
        assert vault.open_sealed(stolen.name, stolen.sealed) == PLANTED
        assert vault.open_sealed(other.secret_name, stolen.sealed) is None


class TestRotation:
    def test_encrypts_anew_and_drops_the_old_key(self, django_capture_on_commit_callbacks):
        database = connect()
        old, sealed = vault.path().read_text(), Secret.objects.get().sealed
        with django_capture_on_commit_callbacks(execute=True):
            call_command("rotate_secrets_key", stdout=io.StringIO())
        assert vault.path().read_text() != old
        assert len(vault.path().read_text().split()) == 1
        assert Secret.objects.get().sealed != sealed
        assert wiring.stored_password(database) == (PLANTED, False)
        assert LedgerEntry.objects.filter(kind="secrets.rotated").count() == 1

    def test_works_with_keys_of_the_environment(self, settings):
        old, new = (Fernet.generate_key().decode() for _ in range(2))
        settings.SECRETS_KEY = old
        database = connect()
        settings.SECRETS_KEY = f"{new},{old}"
        call_command("rotate_secrets_key", stdout=io.StringIO())
        settings.SECRETS_KEY = new
        assert wiring.stored_password(database) == (PLANTED, False)

    def test_keeps_the_old_key_and_says_so_while_a_secret_needs_another(
        self, django_capture_on_commit_callbacks
    ):
        database = connect()
        lost = connect("another-One-5502", name="other")
        Secret.objects.filter(name=lost.secret_name).update(sealed="damaged")
        with (
            django_capture_on_commit_callbacks(execute=True),
            pytest.raises(CommandError, match="1 could not be read"),
        ):
            call_command("rotate_secrets_key", stdout=io.StringIO())
        assert wiring.stored_password(database) == (PLANTED, False)
        assert wiring.stored_password(lost) == ("", True)


@pytest.fixture
def crm_page():
    def read() -> str:
        browser = Client()
        browser.force_login(make_person("paula", groups=["policy-administrators"]))
        answer = browser.get("/databases/crm/")
        assert answer.status_code == 200
        return answer.content.decode()

    return read
