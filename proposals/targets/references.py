"""Whose keys the columns of a table hold, as the database itself says by its foreign keys.

Only keys of one column: a part of a longer key names no row by itself.
"""

import re
from typing import Any

NAMED = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\.[A-Za-z_][A-Za-z0-9_]{0,62}")
POSTGRESQL = """
SELECT a.attname, f.relname || '.' || b.attname
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_class f ON f.oid = k.confrelid
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1]
WHERE k.contype = 'f' AND cardinality(k.conkey) = 1 AND c.relname = %s
  AND c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND pg_table_is_visible(f.oid)
ORDER BY k.conname
"""
# Names are told apart without regard to case there, and a key that is not named is the primary one.
SQLITE = """
SELECT k."from", t.name || '.' || p.name
FROM pragma_foreign_key_list(%s) AS k
JOIN sqlite_master AS t ON t.type = 'table' AND lower(t.name) = lower(k."table")
JOIN pragma_table_info(t.name) AS p
  ON CASE WHEN k."to" IS NULL THEN p.pk = 1 ELSE lower(p.name) = lower(k."to") END
WHERE 1 = (SELECT count(*) FROM pragma_foreign_key_list(%s) AS same WHERE same.id = k.id)
ORDER BY k.id
"""


def postgresql(cursor: Any, table: str) -> dict[str, str]:
    """By column, the table and column that it refers to: `customers.id`."""
    cursor.execute(POSTGRESQL, [table])
    return first_of(cursor.fetchall())


def sqlite(cursor: Any, table: str) -> dict[str, str]:
    """The same for SQLite, whether or not the file has its foreign keys enforced."""
    cursor.execute(SQLITE, [table, table])
    return first_of(cursor.fetchall())


def first_of(rows: list[tuple[str, str]]) -> dict[str, str]:
    """One reference for each column, of those whose names can be described at all."""
    found: dict[str, str] = {}
    for column, place in rows:
        if NAMED.fullmatch(place):
            found.setdefault(column, place)
    return found
