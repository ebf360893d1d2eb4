"""What is remembered: entries that only ever grow in number, their seals, and the heads."""

import json
from typing import Any

from django.db import models

from ledger.append_only import AppendOnly
from ledger.canonical import CanonicalJSONField


class Chain(models.Model):
    """A row that heads a stream of entries: whoever holds its lock may append."""

    ledger_number = models.PositiveIntegerField(default=0, editable=False)
    ledger_hash = models.BinaryField(default=b"", editable=False)

    class Meta:
        abstract = True

    @property
    def stream(self) -> str:
        """The name of the stream, such as `proposal:<id>`."""
        raise NotImplementedError


class Stream(Chain):
    """The head of a stream that has no row of its own: `agent:<id>`, `policy`, `auth`."""

    name = models.CharField(max_length=200, primary_key=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name

    @property
    def stream(self) -> str:
        return self.name


class LedgerEntry(AppendOnly):
    """One recorded fact.

    `canonical` is the entry; the other columns are copies to search by, and `verify` compares
    them. Plain text and no foreign keys: nothing can be deleted from under an entry.
    """

    id = models.BigAutoField("entry", primary_key=True)
    stream = models.CharField(max_length=200)
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=100)
    actor = models.CharField(max_length=100)
    actor_name = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()
    proposal = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=64, blank=True)
    run = models.CharField(max_length=128, blank=True)
    object = models.CharField(max_length=500, blank=True)
    canonical = models.BinaryField()
    previous = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32, unique=True)

    class Meta:
        verbose_name_plural = "ledger entries"
        default_permissions = ("view",)
        permissions = [("export_ledger", "Can export the ledger")]
        constraints = [
            models.UniqueConstraint(
                fields=["stream", "number"], name="ledger_one_entry_per_stream_and_number"
            ),
        ]
        # By time, agent, actor, action, tier and object it is found through Facet and Mention.
        indexes = [
            models.Index(fields=["proposal", "-id"], name="ledger_proposal"),
            models.Index(fields=["kind", "-id"], name="ledger_kind"),
            models.Index(fields=["run", "-id"], name="ledger_run"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.kind}"

    @property
    def body(self) -> dict[str, Any]:
        """The facts of the entry, from its canonical bytes."""
        return json.loads(bytes(self.canonical))["body"]


class Facet(models.Model):
    """What lists find and show one entry by, without reading its body.

    Derived from the entry and what its stream said before, so it is no evidence, has no guards,
    and can be made anew (`index_ledger`). Every index ends in the one order that lists have.
    """

    entry = models.OneToOneField(
        LedgerEntry,
        primary_key=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="facet",
    )
    at = models.DateTimeField()
    kind = models.CharField(max_length=100)
    actor = models.CharField(max_length=100)
    origin = models.CharField(max_length=10)
    agent = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=128, blank=True)
    tier = models.CharField(max_length=10, blank=True)
    flag = models.CharField(max_length=10, blank=True)
    revision = models.PositiveIntegerField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["at", "entry"], name="facet_at"),
            *(
                models.Index(fields=[column, "at", "entry"], name=f"facet_{column}")
                for column in ("kind", "actor", "origin")
            ),
            *(
                models.Index(
                    fields=[column, "at", "entry"],
                    name=f"facet_{column}",
                    condition=models.Q(**{f"{column}__gt": ""}),
                )
                for column in ("agent", "action", "tier", "flag")
            ),
        ]

    def __str__(self) -> str:
        return f"facets of {self.entry_id}"


class Mention(models.Model):
    """One thing that an entry names: an object it touched, a digest, a key, a name.

    Derived like the facets. The story of one object is one read along the primary key, which ends
    in the order of lists, so that a page of it costs the same however often it was touched.
    """

    pk = models.CompositePrimaryKey("name", "value", "at", "entry_id")
    name = models.CharField(max_length=10)
    value = models.CharField(max_length=500)
    at = models.DateTimeField()
    entry = models.ForeignKey(
        LedgerEntry,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="mentions",
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} in {self.entry_id}"


class DayCount(models.Model):
    """How many sealed entries one day (UTC) has of one kind and tier.

    Derived like the facets, and kept by the clock (`ledger.days`), so that a page that shows days
    reads a few rows of this and nothing of the ledger.
    """

    pk = models.CompositePrimaryKey("day", "kind", "tier")
    day = models.DateField()
    kind = models.CharField(max_length=100)
    tier = models.CharField(max_length=10, blank=True)
    count = models.PositiveBigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.day} {self.kind}"


class Walk(models.Model):
    """How far one of the clock's walks along the ledger has come.

    `position` is the first leaf that it has not seen, `sealed` how many there were when it looked,
    `ended_at` when a walk that goes round last came to its end. The sealer's own walks go along
    entries: there `position` is the id of the last one that it need not look at again.
    """

    name = models.CharField(max_length=20, primary_key=True)
    position = models.PositiveBigIntegerField(default=0)
    sealed = models.PositiveBigIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name}, at {self.position}"


class Broken(models.Model):
    """A sealed entry that the clock found altered or gone (`ledger.patrol`). No evidence either."""

    entry_id = models.PositiveBigIntegerField(primary_key=True)
    why = models.CharField(max_length=300)
    found_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"entry {self.entry_id}"


class ExactCount(models.Model):
    """How many sealed entries some filters mean: asked for by a person, counted by the clock.

    The row is the queue; there is one for each set of filters, by `key`. `upto` is how many entries
    were sealed when it was asked, `position` how many of them were looked at.
    """

    key = models.CharField(max_length=71, unique=True)
    asked = CanonicalJSONField()
    actor_name = models.CharField(max_length=200, blank=True)
    asked_at = models.DateTimeField()
    upto = models.PositiveBigIntegerField()
    position = models.PositiveBigIntegerField(default=0)
    count = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"count {self.pk}"


class Access(models.Model):
    """What somebody read: a page of the ledger, a row, an explanation, an export. No evidence."""

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=100)
    actor_name = models.CharField(max_length=200, blank=True)
    what = models.CharField(max_length=20)
    query = models.CharField(max_length=1000, blank=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "access log"
        indexes = [models.Index(fields=["actor", "-id"], name="access_by_actor")]

    def __str__(self) -> str:
        return f"access {self.pk}"


class Leaf(AppendOnly):
    """The place of one entry in the tree over the whole log. Places are dense; ids are not."""

    leaf_index = models.PositiveBigIntegerField(primary_key=True)
    entry_id = models.PositiveBigIntegerField(unique=True)
    hash = models.BinaryField(max_length=32)

    class Meta:
        verbose_name_plural = "leaves"
        default_permissions = ()

    def __str__(self) -> str:
        return f"leaf {self.leaf_index}: entry {self.entry_id}"


class Node(AppendOnly):
    """The hash over a perfect subtree. Kept at every fourth level; the rest is soon computed."""

    level = models.PositiveSmallIntegerField()
    position = models.PositiveBigIntegerField()
    hash = models.BinaryField(max_length=32)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["level", "position"], name="ledger_one_node_per_level_and_position"
            ),
        ]

    def __str__(self) -> str:
        return f"node {self.level}, {self.position}"


class Checkpoint(AppendOnly):
    """A signed statement of the whole log up to a size. `note` is it; the rest are copies."""

    size = models.PositiveBigIntegerField(primary_key=True)
    root = models.BinaryField(max_length=32)
    at = models.DateTimeField()
    note = models.TextField()
    key_id = models.CharField(max_length=8)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"checkpoint {self.size}"


class Heartbeat(models.Model):
    """When a process was last seen at work."""

    name = models.CharField(max_length=50, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
