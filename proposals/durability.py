"""What is committed is on disk: also where a PostgreSQL server was told to be quick about it.

An intent that a crash of the server can take back is none (protocols page, step 3): the write
would be sent anew by somebody who does not know that it was sent. SQLite is told in its settings.
"""

from typing import Any

from django.db.backends.signals import connection_created

# Where it is stronger, as with replicas that must have applied it, it stays as it is.
WAIT_FOR_DISK = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)


def wait_for_disk(*, connection: Any, **_: Any) -> None:
    """Have every commit of a new session wait until it is on the server's disk."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(WAIT_FOR_DISK)


def connect() -> None:
    connection_created.connect(wait_for_disk, dispatch_uid="durability")
