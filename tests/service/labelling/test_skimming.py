"""Words of any script, and who answers faster than they are skimmed."""

import pytest

from service.labelling.skimming import is_quick, words_in
from tests.service.labelling.answers import label


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Air scatters blue light.", 4),
        ("L'été à Paris", 3),
        ("天空为什么是蓝色的？", 4.5),  # nine characters and a mark
        ("そらは あおい", 3),  # three and three
        ("하늘은 왜 파란가", 3),  # Korean has blanks
        ("ท้องฟ้า", 1.4),  # seven code points, vowels and tones among them
        ("a 是 b", 3),  # no piece is less than one word
    ],
)
def test_words_in(text: str, words: float) -> None:
    assert words_in(text) == pytest.approx(words)


def test_nobody_reads_six_hundred_characters_in_a_second_and_a_half() -> None:
    replies = ("蓝" * 300, "天" * 300)  # 300 words: 20 seconds
    assert is_quick(label(replies=replies, seconds=19.9)) and not is_quick(label(replies=replies, seconds=20.0))
