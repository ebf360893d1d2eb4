"""Makes what people configured on pages known to this process, and keeps it up to date.

That is databases with their tables, actions over HTTP, mail templates and domains. Every process
asks for one small row where a request, a check, a claim or an intent begins. Only when its token is
another than the one known here is anything read again.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from proposals import vault
from proposals.actions import mailing, tables
from proposals.actions.mailing import Mailing
from proposals.actions.tables import Described
from proposals.exceptions import InvalidRequest
from proposals.http_actions import loading
from proposals.models import (
    Database,
    DescribedTable,
    MailPolicy,
    MailTemplate,
    Secret,
    Wiring,
)
from proposals.registry import registry

LOST = (
    "The password of {} cannot be read, because the key that it was encrypted with is missing or "
    "another. Enter the password again on the page of the database."
)
_lock = threading.Lock()
_steady = threading.RLock()
_token = ""


def refresh() -> bool:
    """Know what is in force now. One statement, unless something changed.

    False, and nothing new is known, while another thread of this process is about to write by what
    was in force at its intent.
    """
    token = Wiring.objects.values_list("token", flat=True).first() or ""
    if token == _token:
        return True
    with _lock:
        if not _steady.acquire(blocking=False):
            return False
        try:
            if token != _token:
                load(token)
        finally:
            _steady.release()
    return True


@contextmanager
def steady() -> Iterator[None]:
    """From an intent to its write: what the intent found in force is what is written by.

    No other thread makes anything else known to this process meanwhile, or writes.
    """
    with _steady:
        yield


def announce() -> None:
    """Tell every process that something changed; call it in the transaction of the change."""
    row = Wiring.objects.select_for_update().first() or Wiring()
    row.token = uuid.uuid4().hex
    row.save()


def forget() -> None:
    """Know nothing any more, as before the first `refresh`."""
    with _lock:
        wire(Described(), {})
        loading.install(loading.Defined())
        mailing.install(Mailing())
        set_token("")


def set_token(token: str) -> None:
    global _token
    _token = token


def load(token: str) -> None:
    """Read everything. The token was read first: a change meanwhile makes the next look differ."""
    configs: dict[str, dict[str, Any]] = {}
    closed_databases: dict[int, str] = {}
    sealed = dict(Secret.objects.values_list("name", "sealed"))
    # A database that the settings came to name as well is theirs, not ours to change.
    found = [one for one in Database.objects.all() if one.name not in settings.DATABASES]
    for database in found:
        password, is_lost = password_of(database, sealed)
        configs[database.name] = config_of(database, password)
        if not database.is_enabled:
            closed_databases[database.pk] = f"The database {database.name} is switched off."
        elif is_lost:
            closed_databases[database.pk] = LOST.format(database.name)
    wire(described(found, closed_databases), configs)
    loading.install(loading.load())
    mailing.install(mails())
    set_token(token)


def password_of(database: Database, sealed: dict[str, str]) -> tuple[str, bool]:
    """The password, and whether there is one that can no longer be read."""
    stored = sealed.get(database.secret_name)
    if stored is None:
        return "", False
    password = vault.open_sealed(database.secret_name, stored)
    return password or "", password is None


def stored_password(database: Database) -> tuple[str, bool]:
    """The same for one database, read now."""
    rows = Secret.objects.filter(name=database.secret_name).values_list("name", "sealed")
    return password_of(database, dict(rows))


def described(databases: list[Database], closed_databases: dict[int, str]) -> Described:
    """The tables that may be written to now, and why the others may not."""
    by_id = {database.pk: database for database in databases}
    found = Described(databases=frozenset(database.name for database in databases))
    for row in DescribedTable.objects.filter(database__in=by_id):
        row.database = by_id[row.database_id]
        full_name = f"{row.database.name}.{row.name}"
        closed = closed_databases.get(row.database_id, "")
        if not closed and not row.is_enabled:
            closed = f"The table {full_name} is switched off."
        try:
            table = tables.described_by(full_name, row.database.name, row.name, row.definition)
        except ImproperlyConfigured as error:  # written for a release that knew more
            closed = closed or f"The description of {full_name} is not understood: {error}"
        if closed:
            found.closed[full_name] = closed
        else:
            found.tables[full_name] = table
        if row.is_enabled and row.database.is_enabled:
            # Only what the rows say, whether or not this process can read the password: otherwise
            # two machines with different keys would send each other's checks back for ever.
            found.digests[full_name] = row.digest()
    return found


def mails() -> Mailing:
    """The mails that may be sent now, and why the others may not."""
    policy = MailPolicy.objects.first()
    listed = policy.domains if policy else []
    found = Mailing(domains=tuple(listed))
    for row in MailTemplate.objects.all():
        if not row.is_enabled:
            found.closed[row.name] = f"The mail template {row.name} is switched off."
            continue
        try:
            found.templates[row.name] = mailing.described_by(row.name, row.definition())
        except InvalidRequest as error:  # written for a release that knew more
            found.closed[row.name] = f"The mail template {row.name} is not understood: {error}"
        found.digests[mailing.full_name(row.name)] = row.digest(listed)
    return found


def definitions() -> dict[str, str]:
    """What names everything that people configured and that is in force, by its name."""
    return {
        **tables.current().digests,
        **loading.current().digests,
        **mailing.current().digests,
    }


def wire(found: Described, configs: dict[str, dict[str, Any]]) -> None:
    """Let Django know these databases and no others that were connected before.

    In a new dictionary: other threads may be walking over the old one.
    """
    former = connections.settings
    gone = tables.current().databases
    wired = {alias: config for alias, config in former.items() if alias not in gone}
    for alias, config in configs.items():
        complete = connections.configure_settings({"default": {}, alias: config})[alias]
        # The same object while nothing changed, so that open connections are kept.
        wired[alias] = former[alias] if former.get(alias) == complete else complete
    connections.settings = wired
    tables.install(found)


def config_of(database: Database, password: str) -> dict[str, Any]:
    """A connected database as Django's settings have it."""
    if not database.is_postgresql:
        # Only a file that is there: a mistyped path must not become a new, empty database. And no
        # pragma that stays in the file, which belongs to somebody else.
        uri = f"file:{quote(str(Path(database.database)))}?mode=rw"
        options = {"timeout": 10, "transaction_mode": "IMMEDIATE"}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": uri, "OPTIONS": options}
    options = {**settings.POSTGRESQL_OPTIONS, "sslmode": database.tls or "require"}
    if database.tls == Database.Tls.VERIFY:
        options["sslrootcert"] = "system"
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database.database,
        "USER": database.user,
        "PASSWORD": password,
        "HOST": database.host,
        "PORT": str(database.port or 5432),
        "OPTIONS": options,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }


registry.refresh = refresh
