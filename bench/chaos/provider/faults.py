"""What can befall a request, and how often: drawn, so that it can be replayed."""

import random

# Of a hundred writes. `late` still travels when its sender has given up; `working` has arrived, and
# the provider is busy with it; `repeated` arrives twice, as from a network that sends again.
WRITES = {
    "": 30,
    "dropped before": 7,
    "dropped after": 9,
    "late": 8,
    "working": 4,
    "slow": 5,
    "repeated": 5,
    "reset": 6,
    "error before": 5,
    "error after": 6,
    "too many": 4,
    "refused": 4,
    "refused once": 3,
    "nonsense before": 1,
    "nonsense after": 2,
    "black hole": 1,
}
# What befalls the next one while the last still travels: that is when a refusal misleads.
WHILE_TRAVELLING = {"": 30, "refused": 25, "refused once": 25, "dropped before": 20}
# The same of reads. `blind` does not see the newest effects yet.
READS = {"": 65, "error": 8, "dropped": 7, "nonsense": 5, "blind": 15}
# Faults after which the sender cannot know: these, and no others, may leave an outcome unknown.
FAULTLESS_AFTER = 4  # writes for one business key: then the provider behaves, and all comes to rest

# In the provider's own time. What still travels, or is worked on, is there within the first; and
# within the second its reads show it. The actions of the harness promise a settling time of a
# minute, so that both together are no more than two of them.
LATEST_SECONDS = 45.0
BLIND_SECONDS = 74.0


def draw_write(seed: int, business: str, number: int) -> str:
    """What befalls the write with this number for a business key, from 1."""
    if number > FAULTLESS_AFTER:
        return ""
    chance = random.Random(f"write/{seed}/{business}/{number}")
    last = draw_write(seed, business, number - 1) if number > 1 else ""
    return pick(chance, WHILE_TRAVELLING if last == "late" else WRITES)


def draw_read(seed: int, business: str, number: int) -> str:
    return pick(random.Random(f"read/{seed}/{business}/{number}"), READS)


def draw_delay(seed: int, business: str, number: int) -> float:
    """How long a late write travels, in seconds of the provider's time."""
    return random.Random(f"delay/{seed}/{business}/{number}").uniform(1, LATEST_SECONDS)


def pick(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
