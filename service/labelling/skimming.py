"""Answers that came faster than the replies can be skimmed, in any script."""

import re

from service.store.label_records import TaskLabel

# Nobody reads 15 words a second: 200 to 400 a minute is usual (Rayner et al. 2016), so this is skimming at the best.
WORDS_PER_SECOND = 15.0
LEAST_SECONDS = 1.0
# Scripts that put no blanks between words: so many characters are taken for one, rather too many than too few.
_HAN_AND_KANA = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HAN_AND_KANA_PER_WORD = 2
# Thai, Lao, Burmese and Khmer are alphabets: a word is as long as an English one.
_THAI_AND_NEAR = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_THAI_AND_NEAR_PER_WORD = 5


def is_quick(label: TaskLabel) -> bool:
    """Faster than the replies can be skimmed, or than a second. The prompt is not counted: it may be known."""
    return label.seconds < max(LEAST_SECONDS, sum(map(words_in, label.replies)) / WORDS_PER_SECOND)


def words_in(text: str) -> float:
    """Pieces between blanks; one of a script without blanks is as many words as its characters are worth."""
    pieces = text.split()
    return float(len(pieces)) if text.isascii() else sum(map(_words_in_piece, pieces))


def _words_in_piece(piece: str) -> float:
    dense = len(_HAN_AND_KANA.findall(piece)) / _HAN_AND_KANA_PER_WORD
    return max(1.0, dense + len(_THAI_AND_NEAR.findall(piece)) / _THAI_AND_NEAR_PER_WORD)
