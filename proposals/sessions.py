"""How long the product's own PostgreSQL server waits for one of our sessions.

A process that is lost within a transaction (a power cut, a paused machine, a cut line) leaves its
session at the server, with all that it has locked: perhaps the gate, for which every freeze waits.
The server would notice after hours, or never. With these limits it does within a minute, and who
waits for a lock that nobody gives back is told so. (PostgreSQL manual, Client Connection Defaults.)
"""

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.signals import connection_created

# The server's side of what the settings say for ours: a client that is gone without a word.
NOTICED = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "5s",
}
# Where the server was told a limit of its own, that stays. Nothing of ours is idle for so long
# within a transaction: no transaction is open while a target is called.
LIMITS = {"idle_in_transaction_session_timeout": "60s", "lock_timeout": "20s"}
# For whom a session that is lost must not be what stops them: longer than that session may last.
PATIENT = "75s"
SET = """
    SELECT set_config(name, value, false)
    FROM unnest(%s::text[], %s::text[], %s::boolean[]) AS wanted(name, value, is_default)
    WHERE current_setting(name, true) IS NOT NULL
      AND (NOT is_default OR current_setting(name, true) = '0')
"""


def limit(*, connection: Any, **_: Any) -> None:
    """Have the server give up a new session of ours where it would wait for it in vain."""
    if connection.vendor != "postgresql" or connection.alias != DEFAULT_DB_ALIAS:
        return
    wanted = NOTICED | LIMITS
    with connection.cursor() as cursor:
        cursor.execute(SET, [list(wanted), list(wanted.values()), [n in LIMITS for n in wanted]])


def connect() -> None:
    connection_created.connect(limit, dispatch_uid="session limits")
