"""Connecting databases and choosing their tables. Every change has its ledger entry.

Switching off is a stop: it waits for intents that are under way, and none begins after it.
"""

import ipaddress
import os
import socket
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction

from ledger.canonical import digest
from proposals import freezing, rights, vault
from proposals.actions import tables
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Database, DescribedTable
from proposals.services.configuration import record_change
from proposals.services.switching import switch, switching
from proposals.targets import wiring

# Whoever changes one of these decides where the stored password is sent, so it is asked for again.
PLACE = ("host", "port", "database", "user", "tls")
OWN = "This is the product's own database. Agents never write there; connect another."


def connect_database(*, database: Database, password: str, person: Any) -> Database:
    """Store a new connection, and its password apart and encrypted.

    Raises NotEligible, ValidationError, or InvalidRequest for a name that is taken by the settings
    and for the product's own database.
    """
    require_configure(person)
    if database.name in settings.DATABASES:
        raise InvalidRequest(f"The name {database.name} is taken by the settings; choose another.")
    require_sound(database)
    password = password if database.is_postgresql else ""
    with transaction.atomic():
        freezing.take_gate()
        database.full_clean()  # again: its name may be taken by now
        database.password_version = 1 if password else 0
        database.save(force_insert=True)
        keep_password(database, password)
        record(database, "database.connected", person, database.facts())
        wiring.announce()
    return database


def change_database(*, name: str, changes: dict[str, Any], password: str, person: Any) -> Database:
    """Change where a connection leads. An empty password keeps the stored one, if the place stays.

    Name and engine stay: proposals and receipts speak of them. Raises what `connect_database` does.
    """
    require_configure(person)
    wanted = moved_to(find(name), changes)
    require_sound(wanted)  # asks for addresses, so not while everybody waits for the gate
    with transaction.atomic():
        freezing.take_gate()
        database = lock(name)
        was = database.facts()
        moved_to(database, {field: getattr(wanted, field) for field in PLACE})
        has_moved = any(was[field] != database.facts()[field] for field in PLACE)
        if has_moved and not password and database.password_version:
            raise InvalidRequest(
                "Enter the password again.",
                errors=[
                    {
                        "pointer": "/password",
                        "code": "required",
                        "detail": "Enter the password again: where it is sent has changed.",
                    }
                ],
            )
        if password and database.is_postgresql:
            database.password_version += 1
            keep_password(database, password)
        becomes = database.facts()
        if becomes != was:
            database.save()
            changed = {
                field: {"was": was[field], "becomes": value}
                for field, value in becomes.items()
                if was[field] != value
            }
            record(database, "database.changed", person, {"name": name, "changes": changed})
            wiring.announce()
    return database


def switch_database(*, name: str, is_enabled: bool, person: Any) -> Database:
    """Let agents write to a database, or stop them at their next check and intent.

    Stopping takes the right to freeze, starting again the right to configure. The same again is no
    change. Raises NotEligible, NotFound.
    """
    with switching(is_enabled, person=person, require_configure=require_configure):
        database = lock(name)
        switch(
            database,
            is_enabled,
            person=person,
            enter=lambda way: record(database, f"database.{way}", person, {"name": name}),
        )
    return database


def describe_table(*, database: str, name: str, definition: Any, person: Any) -> DescribedTable:
    """Say what agents may write in one table; in force at the next check and intent.

    Raises NotEligible, NotFound, or InvalidRequest naming the fault.
    """
    require_configure(person)
    understood(database, name, definition)
    with transaction.atomic():
        freezing.take_gate()
        owner = lock(database)
        row = DescribedTable.objects.filter(database=owner, name=name).first()
        is_new = row is None
        if row is None:
            row = DescribedTable(database=owner, name=name)
        elif row.definition == definition:
            return row
        row.definition = definition
        row.full_clean(exclude=["database"])
        row.save()
        body = {"table": f"{database}.{name}", "definition": digest(definition), "is": definition}
        record(owner, "table.described" if is_new else "table.changed", person, body)
        wiring.announce()
    return row


def switch_table(*, database: str, name: str, is_enabled: bool, person: Any) -> DescribedTable:
    """The same as `switch_database`, for one table."""
    with switching(is_enabled, person=person, require_configure=require_configure):
        owner = lock(database)
        row = DescribedTable.objects.filter(database=owner, name=name).first()
        if row is None:
            raise NotFound
        told = {"table": f"{database}.{name}"}
        switch(
            row,
            is_enabled,
            person=person,
            enter=lambda way: record(owner, f"table.{way}", person, told),
        )
    return row


def understood(database: str, name: str, definition: Any) -> tables.Table:
    """The table that a definition describes. Raises InvalidRequest with the fault in a sentence."""
    try:
        return tables.described_by(name, database, name, definition)
    except ImproperlyConfigured as error:
        raise InvalidRequest(str(error)) from error


def keep_password(database: Database, password: str) -> None:
    if not password:
        return
    try:
        vault.store(database.secret_name, password)
    except vault.VaultProblem as error:
        raise InvalidRequest(f"The password cannot be kept: {error}") from error


def require_sound(database: Database) -> None:
    """Refuse what could never work, and our own database under its plain address.

    Under another address it is recognised as soon as it is looked at, and no table of it can be
    chosen.
    """
    faults: dict[str, str] = {}
    if not database.is_postgresql:
        database.host, database.port, database.user, database.tls = "", None, "", ""
    if database.is_postgresql:
        for field in ("host", "user"):
            if not getattr(database, field):
                faults[field] = "PostgreSQL needs this."
    elif not os.path.isabs(database.database):
        faults["database"] = "The whole path of the file, from the root."
    elif not os.path.isfile(database.database):
        faults["database"] = "There is no such file on the machine that Countersign runs on."
    if faults:
        raise ValidationError(faults)
    database.full_clean()
    if is_own(database):
        raise InvalidRequest(OWN)


def is_own(database: Database) -> bool:
    own = settings.DATABASES["default"]
    if not database.is_postgresql:
        return "sqlite" in own["ENGINE"] and is_same_file(database.database, str(own["NAME"]))
    if "postgresql" not in own["ENGINE"] or database.database != own["NAME"]:
        return False
    if (database.port or 5432) != int(own["PORT"] or 5432):
        return False
    return bool(addresses(database.host) & addresses(own["HOST"] or "localhost"))


def is_same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def addresses(host: str) -> set[str]:
    """Every address that a host has, so that two names of one machine are known for one."""
    if host.startswith("/"):
        return addresses("localhost")  # a socket in a folder: this machine
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return {host}
    return {
        "local" if ipaddress.ip_address(one.split("%")[0]).is_loopback else one for one in found
    }


def moved_to(database: Database, changes: dict[str, Any]) -> Database:
    for field in PLACE:
        setattr(database, field, changes.get(field, getattr(database, field)))
    return database


def find(name: str) -> Database:
    try:
        return Database.objects.get(name=name)
    except Database.DoesNotExist:
        raise NotFound from None


def lock(name: str) -> Database:
    try:
        return Database.objects.select_for_update(no_key=True).get(name=name)
    except Database.DoesNotExist:
        raise NotFound from None


def require_configure(person: Any) -> None:
    if not rights.has(person, rights.CONFIGURE_DATABASES):
        raise NotEligible(
            "Setting up databases takes a right that you do not have; "
            "a policy administrator has it."
        )


def record(database: Database, kind: str, person: Any, body: dict[str, Any]) -> None:
    record_change(stream=f"database:{database.pk}", kind=kind, person=person, body=body)
