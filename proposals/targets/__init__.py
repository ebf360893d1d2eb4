"""Databases that people connected by pages: their secrets, what is in them, what agents may write.

`vault` keeps passwords, `wiring` makes them known to this process, `inspection` looks at a database
without changing it, `grants` writes the SQL that its owner runs.
"""
