"""What somebody can do who owns the database but not the sealing key."""

import json
from datetime import timedelta

from django.db import connection

from ledger import chain, merkle, notes, tree
from ledger.models import Checkpoint, Leaf, LedgerEntry, Node, Stream
from ledger.notes import SigningKey


def execute(sql, params=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


class Forger:
    """Changes sealed history, each time in another way. Works while the guards are lifted."""

    def __init__(self, dice):
        self.dice = dice

    def mutate(self):
        """One change of something sealed; returns what it was, for the message of a failure."""
        ways = [name for name in dir(self) if name.startswith("do_")]
        way = self.dice.choice(ways)
        return f"{way}: {getattr(self, way)()}"

    def pick(self, model):
        return self.dice.choice(list(model.objects.order_by("pk")))

    def flip(self, model, column):
        """Change one bit of a binary column."""
        row = self.pick(model)
        data = bytearray(getattr(row, column) or b"\0")
        data[self.dice.randrange(len(data))] ^= 1 << self.dice.randrange(8)
        table, pk = model._meta.db_table, model._meta.pk.column
        execute(f"UPDATE {table} SET {column} = %s WHERE {pk} = %s", [bytes(data), row.pk])
        return f"{column} of {row}"

    # Clumsy: one row, and nothing that follows from it.

    def do_flip_a_bit_of_an_entry(self):
        return self.flip(LedgerEntry, self.dice.choice(["canonical", "hash", "previous"]))

    def do_flip_a_bit_of_the_tree(self):
        return self.flip(*self.dice.choice([(Leaf, "hash"), (Node, "hash"), (Checkpoint, "root")]))

    def do_change_a_column_of_an_entry(self):
        entry = self.pick(LedgerEntry)
        column = self.dice.choice(["stream", "kind", "actor", "actor_name", "agent", "run"])
        execute(f"UPDATE ledger_ledgerentry SET {column} = 'x' WHERE id = %s", [entry.pk])
        return f"{column} of {entry}"

    def do_change_the_time_of_an_entry(self):
        entry = self.pick(LedgerEntry)
        moved = entry.at - timedelta(microseconds=self.dice.randrange(1, 10**9))
        execute("UPDATE ledger_ledgerentry SET at = %s WHERE id = %s", [moved, entry.pk])
        return entry

    def do_delete_a_row(self):
        model = self.dice.choice([LedgerEntry, Leaf, Node, Checkpoint])
        row = self.pick(model)
        table, pk = model._meta.db_table, model._meta.pk.column
        execute(f"DELETE FROM {table} WHERE {pk} = %s", [row.pk])
        return row

    def do_point_a_leaf_elsewhere(self):
        leaf = self.pick(Leaf)
        execute("UPDATE ledger_leaf SET entry_id = 999999999 WHERE leaf_index = %s", [leaf.pk])
        return leaf

    def do_exchange_two_leaves(self):
        one, two = self.dice.sample(list(Leaf.objects.all()), 2)
        Leaf.objects.filter(pk__in=[one.pk, two.pk])._raw_delete("default")
        one.leaf_index, two.leaf_index = two.leaf_index, one.leaf_index
        Leaf.objects.bulk_create([one, two])
        return f"{one} and {two}"

    def do_change_a_checkpoint(self):
        checkpoint = self.pick(Checkpoint)
        place = self.dice.randrange(len(checkpoint.note))
        char = self.dice.choice([c for c in "0aZ \n" if c != checkpoint.note[place]])
        column, value = self.dice.choice(
            [
                ("size", checkpoint.size + 1000),
                ("at", checkpoint.at + timedelta(microseconds=1)),
                ("key_id", "00000000"),
                ("note", checkpoint.note[:place] + char + checkpoint.note[place + 1 :]),
            ]
        )
        execute(
            f"UPDATE ledger_checkpoint SET {column} = %s WHERE size = %s", [value, checkpoint.pk]
        )
        return f"{column} of {checkpoint}"

    def do_add_a_leaf(self):
        size = Leaf.objects.count()
        Leaf(leaf_index=size, entry_id=10**9, hash=b"x" * 32).save(force_insert=True)
        return size

    # Skilful: whatever follows from the change is made to follow, as far as it can be.

    def do_rewrite_an_entry(self):
        def change(facts):
            place = self.dice.randrange(len(facts))
            facts[place][1]["body"] = {"forged": self.dice.random().hex()}
            return place

        return self.rewrite(change)

    def do_remove_an_entry(self):
        return self.rewrite(lambda facts: facts.pop(self.dice.randrange(len(facts))))

    def do_slip_in_an_entry(self):
        def change(facts):
            place = self.dice.randrange(len(facts))
            new = LedgerEntry.objects.order_by("pk").last().pk + 1
            ids = [pk for pk, _ in facts] + [new]
            facts.insert(place, (new, dict(facts[place][1]) | {"actor": "user:forged"}))
            facts[:] = [(pk, said) for pk, (_, said) in zip(ids, facts, strict=True)]
            return place

        return self.rewrite(change)

    def do_exchange_two_entries(self):
        def change(facts):
            one, two = self.dice.sample(range(len(facts)), 2)
            first, second = facts[one], facts[two]
            facts[one], facts[two] = (first[0], second[1]), (second[0], first[1])
            return one, two

        return self.rewrite(change)

    def do_go_back_in_time(self):
        """Everything as it truly was at an older checkpoint; only an outside copy tells."""
        older = self.dice.choice(list(Checkpoint.objects.order_by("size"))[:-1])
        gone = list(Leaf.objects.filter(leaf_index__gte=older.size))
        for model in (LedgerEntry, Leaf, Node, Checkpoint):
            rows = {
                LedgerEntry: LedgerEntry.objects.filter(pk__in=[leaf.entry_id for leaf in gone]),
                Leaf: Leaf.objects.filter(leaf_index__gte=older.size),
                Node: Node.objects.exclude(pk__in=complete_nodes(older.size)),
                Checkpoint: Checkpoint.objects.filter(size__gt=older.size),
            }[model]
            rows._raw_delete("default")
        for stream in Stream.objects.all():
            set_head(stream.name)
        return older

    def rewrite(self, change):
        """Change a stream, and hash, chain, head and as much of the seals as is dared."""
        name = self.dice.choice(["policy", "auth", "agent:1"])
        rows = list(LedgerEntry.objects.filter(stream=name).order_by("number"))
        facts = [(row.pk, json.loads(bytes(row.canonical))) for row in rows]
        done = change(facts)
        LedgerEntry.objects.filter(stream=name)._raw_delete("default")
        LedgerEntry.objects.bulk_create(chained(facts))
        set_head(name)
        depth = self.dice.randrange(5)
        if depth:
            reseal(depth)
        return f"{name}, {done}, to depth {depth}"


def chained(facts):
    """Entries that agree with themselves and with each other."""
    previous, made = b"", []
    for number, (pk, said) in enumerate(facts, start=1):
        said = said | {"number": number, "previous": previous.hex()}
        data = chain.ledger_canonical(said)
        columns = {name: said[name] for name in chain.Row._fields if name in said}
        columns |= {"canonical": data, "previous": previous, "hash": chain.entry_hash(data)}
        made.append(LedgerEntry(pk=pk, **columns))
        previous = chain.entry_hash(data)
    return made


def set_head(stream):
    last = LedgerEntry.objects.filter(stream=stream).order_by("number").last()
    number, hash_ = (last.number, last.hash) if last else (0, b"")
    Stream.objects.filter(name=stream).update(ledger_number=number, ledger_hash=hash_)


def complete_nodes(size):
    return [node.pk for node in Node.objects.all() if (node.position + 1) << node.level <= size]


def reseal(depth):
    """1: leaves; 2: and nodes; 3: and checkpoints, with their old signatures; 4: signed anew.

    Entries that are gone lose their leaf, and those after it move down.
    """
    entries = dict(LedgerEntry.objects.values_list("pk", "hash"))
    kept = [leaf for leaf in Leaf.objects.order_by("pk") if leaf.entry_id in entries]
    nodes, heads, grown = [], {}, merkle.Tree()
    for index, leaf in enumerate(kept):
        leaf.leaf_index = index
        leaf.hash = merkle.leaf_hash(bytes(entries[leaf.entry_id]))
        for level, position, hash_ in grown.append(leaf.hash):
            if tree.is_stored(level):
                nodes.append(Node(level=level, position=position, hash=hash_))
        heads[grown.size] = grown.root()
    Leaf.objects.all()._raw_delete("default")
    Leaf.objects.bulk_create(kept)
    if depth >= 2:
        Node.objects.all()._raw_delete("default")
        Node.objects.bulk_create(nodes)
    if depth >= 3:
        forge_checkpoints(heads, is_signed_anew=depth == 4)


def forge_checkpoints(roots, *, is_signed_anew):
    checkpoints = list(Checkpoint.objects.order_by("size"))
    Checkpoint.objects.all()._raw_delete("default")
    forged, after = [], 0
    for checkpoint in checkpoints:
        head = notes.open_note(checkpoint.note, []).head
        size = min(head.size, max(roots))
        if size == after:
            continue
        text = head._replace(size=size, root=roots[size], after=after).text()
        checkpoint.size, checkpoint.root, after = size, roots[size], size
        line = checkpoint.note.rpartition("\n\n")[2]
        checkpoint.note = f"{text}\n{line}"
        if is_signed_anew:
            key = SigningKey(head.origin, b"f" * 32)
            checkpoint.note, checkpoint.key_id = key.sign(text), key.public.id.hex()
        forged.append(checkpoint)
    Checkpoint.objects.bulk_create(forged)
