"""Files of labelling tools and of rated completions, in the shapes that their own documents show."""

import json

import pytest

from judges.records import Message
from service.errors import InvalidInput
from service.exchange.preferences import read_preferences, write_preferences
from training.rows import PreferenceRow

WHY = (Message("user", "Why?"),)


def read(*values: object) -> list[PreferenceRow]:
    return read_preferences(json.dumps(values).encode(), "tool.json", "", None, "tool")


def said(rows: list[PreferenceRow]) -> list[tuple[str, str, float]]:
    return [(row.chosen, row.rejected, row.p_chosen) for row in rows]


THREE = {"prompt": "Why?", "response_a": "A", "response_b": "B", "response_c": "C"}
TWO = {"prompt": "Why?", "response_a": "A", "response_b": "B"}


def test_a_ranking_of_argilla_gives_a_pair_for_each_two() -> None:
    # b first, a and c share the second place: b > a, b > c, a = c.
    ranking = [{"value": "response_b", "rank": 1}, {"value": "response_a", "rank": 2}, {"value": "c", "rank": 2}]
    answer = {"status": "submitted", "user_id": "u1", "values": {"order": {"value": ranking}}}
    rows = read({"fields": THREE, "responses": [answer]})
    assert said(rows) == [("B", "A", 1.0), ("B", "C", 1.0), ("A", "C", 0.5)]
    assert {row.annotators for row in rows} == {("u1",)} and {row.prompt for row in rows} == {WHY}
    assert {(row.weight, row.tags) for row in rows} == {(0.75, (("ranked", "3"),))}  # 3 / (3 + 1)


def test_a_label_among_three_beats_the_others() -> None:
    answer = {"status": "submitted", "values": {"preference": {"value": "response_c"}}}
    rows = read({"fields": THREE, "responses": [answer]})
    assert said(rows) == [("C", "A", 1.0), ("C", "B", 1.0)]
    assert {(row.weight, row.tags) for row in rows} == {(2 / 3, (("picked_of", "3"),))}
    of_two = {"status": "submitted", "values": {"preference": {"value": "b"}}}
    (row,) = read({"fields": TWO, "responses": [of_two]})
    assert row.weight == 1 and "picked_of" not in dict(row.tags)


def test_a_suggestion_of_argilla_is_the_judges() -> None:
    suggestion = {"question_id": "q", "type": "model", "value": "b", "agent": "big-judge", "score": 0.75}
    (row,) = read({"fields": TWO, "suggestions": [suggestion]})
    assert (row.source, row.judge, row.annotators) == ("ai", "big-judge", ())
    assert said([row]) == [("B", "A", 0.75)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("keys", [("items", "total"), ("total", "items")])
def test_argilla_as_its_server_lists_it(keys: tuple[str, str], indent: int | None) -> None:
    answer = {"status": "submitted", "user_id": "u1", "values": {"preference": {"value": "b"}}}
    records = [{"id": str(n), "fields": TWO | {"prompt": f"{n}?"}, "responses": [answer]} for n in range(2)]
    listed = {"items": records, "total": 2}
    data = json.dumps({key: listed[key] for key in keys}, indent=indent).encode()
    rows = read_preferences(data, "records.json", "", None, "tool")
    assert said(rows) == [("B", "A", 1.0)] * 2
    assert [row.origin for row in rows] == ["tool, item 1", "tool, item 2"]
    assert [dict(row.tags)["record_id"] for row in rows] == ["0", "1"]
    broken = json.dumps(listed | {"items": [*records, 7]}).encode()
    with pytest.raises(InvalidInput, match="item 3: not an object"):
        read_preferences(broken, "records.json", "", None, "tool")
    with pytest.raises(InvalidInput, match="there are no rows"):
        read_preferences(b'{"items": [], "total": 0}', "records.json", "", None, "tool")


def test_only_one_answer_of_items_and_total_is_a_servers_list() -> None:
    pair = {"items": ["x"], "total": 1, "prompt": "Why?", "chosen": "A", "rejected": "B"}
    lines = "\n".join(json.dumps(pair | {"prompt": f"{n}?"}) for n in range(2)).encode()
    assert len(read_preferences(lines, "p.jsonl", "", None, "tool")) == 2
    assert len(read_preferences(json.dumps(pair).encode(), "p.jsonl", "", None, "tool")) == 1


def test_argilla_as_its_sdk_writes_it() -> None:
    record = {
        "id": "1",
        "fields": TWO,
        "metadata": {},
        "suggestions": {"preference": {"value": "a", "score": 0.9, "agent": "judge"}},
        "responses": {"preference": [{"value": "b", "user_id": "u1"}, {"value": "a", "user_id": "u2"}]},
    }
    rows = read(record)
    assert said(rows) == [("B", "A", 1.0), ("A", "B", 1.0), ("A", "B", 0.9)]
    assert [row.source for row in rows] == ["human", "human", "ai"]


def test_answers_to_other_questions_are_no_preference() -> None:
    numbered = {"prompt": "Why?", "response_1": "A", "response_2": "B"}
    given = [
        {"which": {"value": "response_2"}, "why": {"value": "hm"}},
        {"why": {"value": "hm"}},
        {"rating": {"value": 1}},
        {"preference": {"value": "1"}, "rating": {"value": 2}},
    ]
    answers = [{"status": "submitted", "user_id": str(n), "values": values} for n, values in enumerate(given)]
    comments = [{"question_name": "why", "value": "because", "agent": "j"}]
    rows = read({"fields": numbered, "responses": answers, "suggestions": comments})
    assert [(row.annotators, row.chosen) for row in rows] == [(("0",), "B"), (("3",), "A")]
    by_sdk = {"which": [{"value": "2", "user_id": "u1"}], "why": [{"value": "hm", "user_id": "u1"}]}
    assert said(read({"fields": numbered, "responses": by_sdk, "suggestions": {"why": {"value": "hm"}}})) == [
        ("B", "A", 1.0)
    ]


@pytest.mark.parametrize(
    ("score", "belief"), [(0.4, 1.0), (95, 1.0), (-1.5, 1.0), (0.5, 0.5), (0.75, 0.75), (None, 1.0)]
)
def test_a_score_that_is_no_belief_is_kept_as_it_is(score: float | None, belief: float) -> None:
    argilla = {
        "fields": TWO,
        "suggestions": [{"question_name": "preference", "value": "a", "agent": "j", "score": score}],
    }
    picked = {"type": "pairwise", "value": {"selected": "left"}}
    task = {"data": TWO, "predictions": [{"model_version": "j", "score": score, "result": [picked]}]}
    for record, key, format in ((argilla, "suggestions", "argilla"), (task, "predictions", "label-studio")):
        rows = read(record)
        assert said(rows) == [("A", "B", belief)]
        kept = score is not None and not 0.5 <= score <= 1
        assert dict(rows[0].tags).get("score") == (repr(float(score)) if kept else None)
        (line,) = map(json.loads, write_preferences(rows, format))
        assert line[key][0]["score"] == (score if kept else belief)
        assert read(line) == rows


def test_a_pairwise_task_of_label_studio() -> None:
    picked = {"from_name": "pw", "to_name": "pw", "type": "pairwise", "value": {"selected": "right"}}
    task = {
        "id": 1,
        "data": {"prompt": "Why?", "text1": "A", "text2": "B"},
        "annotations": [
            {"id": 7, "completed_by": 3, "was_cancelled": False, "result": [picked]},
            {"id": 8, "completed_by": {"id": 4, "email": "x@y.z"}, "was_cancelled": False, "result": []},
            {"id": 9, "completed_by": 5, "was_cancelled": True, "result": [picked]},
        ],
        "predictions": [{"model_version": "judge", "score": 0.8, "result": [picked]}],
    }
    rows = read(task)
    assert said(rows) == [("B", "A", 1.0), ("B", "A", 0.8)]
    assert [(row.source, row.judge, row.annotators) for row in rows] == [("human", "", ("3",)), ("ai", "judge", ())]


@pytest.mark.parametrize("order", [["y", "x", "z"], {"rank": ["y", "x", "z"]}, {"_": ["y", "x", "z"], "bad": []}])
def test_a_ranker_task_of_label_studio(order: object) -> None:
    # As the documents of the Ranker tag show it: items with id, title and body; the ids in their order.
    items = [{"id": "x", "title": "1", "body": "A"}, {"id": "y", "body": "B"}, {"id": "z", "html": "C"}]
    ranked = {"from_name": "rank", "to_name": "rank", "type": "ranker", "value": {"ranker": order}}
    rows = read({"data": {"prompt": "Why?", "items": items}, "annotations": [{"result": [ranked]}]})
    assert said(rows) == [("B", "A", 1.0), ("B", "C", 1.0), ("A", "C", 1.0)]
    assert {(row.weight, row.tags) for row in rows} == {(0.75, (("ranked", "3"),))}


def test_a_prediction_may_be_the_result_itself() -> None:
    items = [{"id": "llm_1", "body": "A"}, {"id": "llm_2", "body": "B"}]
    prediction = {"type": "ranker", "value": {"ranker": {"_": ["llm_2", "llm_1"], "biased_results": []}}}
    assert said(read({"data": {"prompt": "Why?", "items": items}, "predictions": [prediction]})) == [("B", "A", 1.0)]


def completion(text: str, **ratings: str) -> dict[str, object]:
    return {"model": "m", "response": text, "annotations": {name: {"Rating": value} for name, value in ratings.items()}}


def test_ratings_of_ultrafeedback() -> None:
    # Means: A (5 + 3) / 2 = 4; B 4, since its honesty is N/A; C 1. So A = B, A > C, B > C; D has no rating at all.
    given = [
        completion("A", helpfulness="5", honesty="3"),
        completion("B", helpfulness="4", honesty="N/A"),
        completion("C", helpfulness="1", honesty="1"),
        completion("D", helpfulness="N/A"),
    ]
    rows = read({"source": "x", "instruction": "Why?", "models": [], "completions": given})
    assert said(rows) == [("A", "B", 0.5), ("A", "C", 1.0), ("B", "C", 1.0)]
    assert rows[0].per_principle == (("helpfulness", 1.0),)
    assert rows[1].per_principle == (("helpfulness", 1.0), ("honesty", 1.0))
    assert {row.source for row in rows} == {"ai"}
    # three scored replies are a ranking of three: 3 / (3 + 1) a row
    assert dict(rows[1].tags) == {"score_chosen": "4.0", "score_rejected": "1.0", "ranked": "3"}
    assert {row.weight for row in rows} == {0.75}
    (row,) = read({"source": "x", "instruction": "Why?", "models": [], "completions": [given[0], given[2]]})
    assert row.weight == 1 and "ranked" not in dict(row.tags)


def test_nemo_aligner_in_its_template() -> None:
    # The line of NeMo-Aligner's own guide.
    line = {
        "prompt": "<extra_id_0>System\n\n<extra_id_1>User\nWhich year?\n<extra_id_1>Assistant\n",
        "chosen_response": "1215\n<extra_id_1>",
        "rejected_response": "I refuse.\n<extra_id_1>",
    }
    (row,) = read(line)
    assert (row.prompt, row.chosen, row.rejected) == ((Message("user", "Which year?"),), "1215", "I refuse.")


def test_implicit_prompts_of_trl() -> None:
    (row,) = read({"chosen": "The sky is blue.", "rejected": "The sky is green."})
    assert (row.prompt, row.chosen, row.rejected) == ((Message("user", "The sky is"),), " blue.", " green.")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"fields": {"prompt": "a", "response": "b"}, "responses": []}, "fields needs two replies"),
        ({"fields": TWO, "suggestions": [{"value": "a", "score": "high"}]}, "a suggestion's score is 'high'"),
        (
            {"fields": TWO, "responses": [{"status": "submitted", "values": {"q": {"value": [{"value": "x"}]}}}]},
            "is no place in a ranking of response_a, response_b",
        ),
        ({"data": {"prompt": "a", "x": "y"}, "annotations": [{"result": [{"value": {"selected": "left"}}]}]}, "name"),
        ({"data": {"prompt": "a"}, "annotations": [{"result": [{"value": {"ranker": ["x"]}}]}]}, "data.items"),
        ({"instruction": "a", "completions": 3}, "completions is not a list"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "margin": "wide"}, "margin is 'wide'"),
        ({"chosen": "x", "rejected": "y"}, "the text that both begin with is empty"),
    ],
)
def test_a_fault_is_named(value: object, told: str) -> None:
    with pytest.raises(InvalidInput, match="item 1: ") as error:
        read(value)
    assert told in str(error.value)
