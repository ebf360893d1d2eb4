"""A payment, order, note and mail provider that misbehaves as real ones do, and keeps its books.

A process of its own, without Django and without anything of the product's. Each write that reaches
it, and each effect that it has, is written down before it answers, by the business key that the
write is about. What it does to a request is drawn from its seed, the business key and how many
writes for that key came before, so that a cycle replays alike whatever runs beside it.
"""
