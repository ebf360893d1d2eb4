"""What time it is: the database's answer, so that a machine with a wrong clock decides nothing."""

from datetime import UTC, datetime

from django.db import NotSupportedError, connection

QUESTIONS = {
    "postgresql": "SELECT clock_timestamp()",
    "sqlite": "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
}


def now() -> datetime:
    """The default database's clock, aware and in UTC; it moves on within a transaction."""
    if connection.vendor not in QUESTIONS:
        raise NotSupportedError(f"No clock is known for {connection.vendor}.")
    with connection.cursor() as cursor:
        cursor.execute(QUESTIONS[connection.vendor])
        (answer,) = cursor.fetchone()
    if isinstance(answer, str):
        return datetime.fromisoformat(answer).replace(tzinfo=UTC)
    return answer.astimezone(UTC)
