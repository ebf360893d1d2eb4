"""What one agent, or one slow target, can take from others."""

from bench.guards.guard import Guard

SHARES = "tests/proposals/test_shares.py"

GUARDS = [
    Guard(
        "slow work needs no place while nobody else waits",
        "proposals/shares.py",
        "is_slow & (Q(Exists(unchecked)) | Q(Exists(unwritten)))",
        "is_slow",
        SHARES,
    ),
    Guard(
        "what others have to be written counts as waiting",
        "proposals/shares.py",
        "(Q(Exists(unchecked)) | Q(Exists(unwritten)))",
        "Q(Exists(unchecked))",
        SHARES,
    ),
    Guard(
        "slow work of one agent leaves workers to others",
        "proposals/shares.py",
        " or len(share.under_way) >= settings.SLOW_WORK_PER_AGENT:",
        ":",
        SHARES,
    ),
    Guard(
        "slow work is begun once",
        "proposals/shares.py",
        "if row_id in share.under_way or len",
        "if len",
        SHARES,
    ),
    Guard(
        "no two take the last place of one agent",
        "proposals/shares.py",
        "    share = Share.objects.select_for_update().get(pk=agent_id)\n    now = clock.now()\n",
        "    share = Share.objects.get(pk=agent_id)\n    now = clock.now()\n",
        SHARES,
        on_postgresql=True,
    ),
    Guard(
        "the place of a process that died lapses",
        "proposals/shares.py",
        " if moment(at) > now}",
        "}",
        SHARES,
    ),
    Guard(
        "whoever comes back late ends nobody else's place",
        "proposals/shares.py",
        "if share.under_way.get(row_id) == until:",
        "if row_id in share.under_way:",
        SHARES,
    ),
    Guard(
        "what cannot be worked on rings for nothing",
        "proposals/shares.py",
        "            if not has_failed:  # or",
        "            if True:  # or",
        SHARES,
    ),
    Guard(
        "what a worker has keeps nothing else from expiring",
        "proposals/rounds.py",
        ".exclude(Exists(held)).order_by",
        ".order_by",
        "tests/proposals/test_dispatch.py",
    ),
    Guard(
        "a resend without a slot keeps no target shut",
        "proposals/resolving.py",
        "wait = FROZEN_SECONDS if is_for_good else",
        "wait =",
        "tests/proposals/test_outcomes.py",
    ),
    Guard(
        "what waited for a place is rung for",
        "proposals/shares.py",
        "                ring_next(agent_id)\n",
        "                pass\n",
        SHARES,
    ),
    Guard(
        "what is approved needs a place as well",
        "proposals/dispatch.py",
        "        if is_free:\n            execution.run(execution_id)\n",
        "        execution.run(execution_id)\n",
        SHARES,
    ),
    Guard(
        "one agent's many hide no other's from the clock",
        "proposals/dispatch.py",
        '.order_by("turn", due_at)',
        ".order_by(due_at)",
        SHARES,
    ),
    Guard(
        "one agent's many keep no other's from the clock's hand",
        "proposals/hand.py",
        "return row[0] is last, self.served.get(self.waiting[row], 0.0)",
        "return row[0] is last, 0.0",
        "tests/proposals/test_hand.py",
    ),
    Guard(
        "bells that nobody answers do not fill Redis",
        "proposals/bell.py",
        "redis.ltrim(key, 0, MOST_BELLS - 1)",
        "pass",
        "tests/proposals/test_bell.py",
    ),
]
