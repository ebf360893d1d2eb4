"""Telling people: what waits, is due, failed, or was stopped.

From a fact to a mail in three steps, each a row: the fact writes a notice in its own transaction
(`outbox`); letters are written for everybody whom it concerns (`spreading`, `audience`); a letter
is claimed, judged once more, put into words and sent (`sending`, `words`, `mail`, `webhooks`).
Letters are sent at least once: after a crash between sending and recording, the same letter goes
out again under the same id. A letter tells and never decides.
"""
