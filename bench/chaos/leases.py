"""Leases that end soon, for who kills workers and wants to see what follows.

The product refuses them, as a call that is still under way would be taken for dead. So its
processes are started under other settings, to which no variable of an installation leads.
"""


def short_leases(seconds: int) -> dict[str, str]:
    """What a process has to find in its environment for leases of so many seconds."""
    return {
        "DJANGO_SETTINGS_MODULE": "bench.chaos.settings",
        "SHORT_LEASE_SECONDS": str(seconds),
    }
