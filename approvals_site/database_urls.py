"""The databases that settings name: the product's own, and the demonstration's target."""

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

# SQLite takes its write lock when a transaction begins, or a read-then-write fails as "locked" at
# once; FULL, because an intent lost in a power cut could become a second effect.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}

# A server that went away without a word is noticed in seconds, not when TCP gives up.
POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# How addresses of these two kinds may begin.
SCHEMES = tuple(
    f"{scheme}://"
    for scheme, engine in environ.Env.DB_SCHEMES.items()
    if engine in {"django.db.backends.postgresql", "django.db.backends.sqlite3"}
)


def entry(url: str, setting: str = "DATABASE_URL") -> dict[str, Any]:
    """A Django database entry from a URL, with the options this product relies on.

    Raises ImproperlyConfigured for what is none, and for any other kind of database.
    """
    config = read(url, setting)
    if config["ENGINE"].endswith("sqlite3"):
        # A file also for tests: threads and child processes cannot share a database in memory.
        test = {"NAME": f"{config['NAME']}.test"}
        return config | {"OPTIONS": dict(SQLITE_OPTIONS), "TEST": test}
    options = POSTGRESQL_OPTIONS | config.get("OPTIONS", {})
    return config | {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}


def read(url: str, setting: str) -> dict[str, Any]:
    try:
        if url.startswith(SCHEMES):
            return environ.Env.db_url_config(url)
    except ValueError:  # such as a port that is no number
        pass
    # Without the value, which may hold a password.
    raise ImproperlyConfigured(
        f"{setting} must be like postgres://user:password@host:5432/name or "
        "sqlite:////folder/file.sqlite3: Countersign runs on PostgreSQL or SQLite."
    )


def place(config: dict[str, Any]) -> str:
    """Which database this is: by server and name, or by file."""
    host, port = config.get("HOST") or "localhost", config.get("PORT") or 5432
    return f"{host}:{port}/{config['NAME']}" if "postgresql" in config["ENGINE"] else config["NAME"]


def shop(ours: dict[str, Any], given: str, folder: Path) -> dict[str, Any]:
    """The demonstration's target: at the URL that is given, else one of its own beside ours.

    Raises ImproperlyConfigured when it would be the product's own.
    """
    if given:
        theirs = entry(given, "SHOP_DATABASE_URL")
        if place(theirs) == place(ours):
            raise ImproperlyConfigured("SHOP_DATABASE_URL must not be the product's own database.")
        return theirs
    if not ours["ENGINE"].endswith("postgresql"):
        return entry(f"sqlite:///{folder / 'shop.sqlite3'}")
    # PostgreSQL cuts names at 63 bytes; cut ours first, or both could become the same one.
    return ours | {"NAME": f"{ours['NAME'][:58]}_shop", "TEST": {"MIGRATE": False}}
