"""How far a prompt is unlike others."""

import pytest

from service.labelling.novelty import novelties


def test_a_prompt_unlike_all_others_is_new_and_one_of_many_is_not():
    alike = {f"same {n}": "How do I bake a loaf of bread?" for n in range(6)}
    found = novelties(alike | {"other": "Prove Fermat's theorem"})
    assert found["other"] == pytest.approx(1.0)
    # Five others are the same word by word.
    assert found["same 0"] == pytest.approx(0.0, abs=1e-6)


def test_half_of_the_words_in_common_by_hand():
    # Six texts, each of one word that all have (which tells nothing) and one of three words that two have.
    texts = {f"{word}{n}": f"the {word}" for word in ("cat", "dog", "cow") for n in range(2)}
    found = novelties(texts)
    # Of the five others one is the same and four share nothing: a mean of 1/5.
    assert set(found) == set(texts)
    assert list(found.values()) == pytest.approx([0.8] * 6)


def test_the_same_prompts_give_the_same_numbers_in_any_order():
    texts = {f"{n}": f"question {n % 7} about {n % 3} things {n}" for n in range(700)}
    assert novelties(texts) == novelties(dict(reversed(texts.items())))


def test_too_few_prompts_tell_nothing():
    assert novelties({f"{n}": f"{n}" for n in range(5)}) == {}
    assert set(novelties({f"{n}": "" for n in range(6)}).values()) == {1.0}
