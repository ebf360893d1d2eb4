"""The text of a checkpoint: as C2SP says, in one spelling, and refused in every other."""

from datetime import UTC, datetime

import pytest

from ledger.notes import BadNote, SigningKey, TreeHead, VerifyingKey, open_note

# The example of the C2SP signed-note specification.
PETER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_NOTE = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""  # noqa: E501

KEY = SigningKey("countersign/test", b"k" * 32)
OTHER = SigningKey("countersign/test", b"o" * 32)
HEAD = TreeHead("countersign/test", 12, b"r" * 32, 7, datetime(2026, 1, 31, 12, tzinfo=UTC))
NOTE = KEY.sign(HEAD.text())


def refused(note, why, keys=(KEY.public,)):
    with pytest.raises(BadNote, match=why):
        open_note(note, keys)


def test_the_example_of_the_specification():
    key = SigningKey.parse(PETER)
    assert str(key.public) == PETER_PUBLIC
    text = PETER_NOTE.partition("\n\n")[0] + "\n"
    assert key.sign(text) == PETER_NOTE
    assert VerifyingKey.parse(PETER_PUBLIC).id.hex() == "c74f20a3"


def test_a_checkpoint_reads_as_the_specification_says():
    assert NOTE.startswith(
        "countersign/test\n12\ncnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\n"
        "after 7\nat 2026-01-31T12:00:00.000000Z\n\n— countersign/test "
    )
    assert NOTE.endswith("\n")
    assert open_note(NOTE, [KEY.public]) == (HEAD, KEY.public)


def test_keys_read_as_they_are_written():
    assert SigningKey.parse(KEY.secret()).secret() == KEY.secret()
    assert str(VerifyingKey.parse(f"{KEY.public}\n")) == str(KEY.public)
    assert KEY.secret() not in (str(KEY), repr(KEY))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        str(KEY.public)[:-4],
        str(KEY.public).replace("countersign", "counterfeit"),
        str(KEY.public).replace("+A", "+B"),
        KEY.secret(),
        f"a b{KEY.public}",
    ],
)
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(BadNote):
        VerifyingKey.parse(text)


@pytest.mark.parametrize("text", ["", "x", str(KEY.public), KEY.secret()[:-4]])
def test_what_is_no_private_key_is_refused(text):
    with pytest.raises(BadNote):
        SigningKey.parse(text)


def test_any_other_character_in_the_text_breaks_the_signature():
    text = HEAD.text()
    for place in range(len(NOTE) - 1):
        for char in "0", "\n", " ":
            if NOTE[place] != char:
                forged = NOTE[:place] + char + NOTE[place + 1 :]
                with pytest.raises(BadNote):
                    open_note(forged, [KEY.public])
    assert open_note(NOTE, [KEY.public]).head.text() == text


def test_another_key_of_the_same_name_is_not_known():
    refused(OTHER.sign(HEAD.text()), "no known key")
    refused(NOTE, "no known key", keys=[OTHER.public])


def test_another_log_is_refused():
    refused(KEY.sign(HEAD._replace(origin="countersign/other").text()), "another log")


def test_a_signature_of_something_else_is_refused():
    line = KEY.sign(HEAD._replace(size=13).text()).rpartition("\n\n")[2]
    refused(f"{HEAD.text()}\n{line}", "not that of its text")


def test_the_signatures_of_others_are_passed_over():
    both = NOTE + OTHER.sign(HEAD.text()).rpartition("\n\n")[2]
    assert open_note(both, [KEY.public]).key == KEY.public
    assert open_note(both, [OTHER.public]).key == OTHER.public


def test_without_keys_only_the_form_is_checked():
    assert open_note(OTHER.sign(HEAD.text()), []) == (HEAD, None)
    refused("x", "no signature", keys=[])
    refused(HEAD.text(), "no signature", keys=[])


def test_each_statement_has_one_spelling():
    for wrong in (
        HEAD.text().replace("\n12\n", "\n012\n"),
        HEAD.text().replace("\n12\n", "\n+12\n"),
        HEAD.text().replace("\n12\n", "\n1_2\n"),
        HEAD.text().replace(".000000Z", "Z"),
        HEAD.text().replace("I=\n", "J=\n"),
        HEAD.text().replace("after", "before"),
        HEAD.text() + "more\n",
        HEAD._replace(root=b"short").text(),
    ):
        assert wrong != HEAD.text()
        refused(KEY.sign(wrong), "not the text of a checkpoint")
