"""The whole story of one proposal: what happened, who decided on which evidence, and the proof.

One builder for every rendering (the page, the terminal): titled sections of paragraphs, facts and
tables, all of plain strings. Any of them may quote an agent or a target, so whoever renders passes
each one through `proposals.text` and never shows it as it is.
"""

from uuid import UUID

from proposals.story_parts import SECTIONS
from proposals.story_sources import (
    LONGEST_VALUE,
    Cell,
    Link,
    Section,
    Story,
    Table,
    gather,
    proved,
    sentence_of,
    summary,
    told,
)

__all__ = ["LONGEST_VALUE", "Cell", "Link", "Section", "Story", "Table", "build"]


def build(proposal_id: UUID) -> Story:
    """Read everything about one proposal and tell it. Raises NotFound."""
    source = gather(proposal_id)
    sections = [summary(source), told(source), *(tell(source) for tell in SECTIONS), proved(source)]
    intact = source.proof.is_intact
    return Story(source.proposal, sentence_of(source), sections, intact, source.check)
