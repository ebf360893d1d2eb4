"""What time it is: the database's answer, so that a machine with a wrong clock decides nothing."""

from datetime import UTC, datetime
from typing import Any

from django.db import NotSupportedError, connection
from django.db.models import DateTimeField, Expression

MOMENTS = {
    "postgresql": "clock_timestamp()",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
}


def now() -> datetime:
    """The default database's clock, aware and in UTC; it moves on within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {moment(connection.vendor)}")
        (answer,) = cursor.fetchone()
    if isinstance(answer, str):
        return datetime.fromisoformat(answer).replace(tzinfo=UTC)
    return answer.astimezone(UTC)


class Now(Expression):
    """The same clock, read along with rows, for who would otherwise ask twice."""

    output_field = DateTimeField()

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return moment(connection.vendor).replace("%", "%%"), ()


def moment(vendor: str) -> str:
    if vendor not in MOMENTS:
        raise NotSupportedError(f"No clock is known for {vendor}.")
    return MOMENTS[vendor]
