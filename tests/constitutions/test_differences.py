import json

from constitutions.differences import FieldChange, Renaming, Reweighting, diff_constitutions
from constitutions.schema import CheckedPrinciple, Constitution, Example, JudgedPrinciple, Principle

KIND = JudgedPrinciple(id="kind", text="The reply is kind.")
HONEST = JudgedPrinciple(id="honest", text="The reply is honest.")
BRIEF = CheckedPrinciple(kind="checked", id="brief", text="It is brief.", check={"max_words": 5})


def law(*principles: Principle, **header: str) -> Constitution:
    return Constitution(principles=principles, **({"name": "one"} | header))


def test_no_difference() -> None:
    difference = diff_constitutions(law(KIND, BRIEF), law(KIND, BRIEF))
    assert difference.is_empty
    assert (difference.added, difference.removed, difference.changed, difference.reordered) == ((), (), (), False)


def test_added_and_removed() -> None:
    difference = diff_constitutions(law(KIND, BRIEF), law(HONEST, KIND))
    assert (difference.added, difference.removed, difference.renamed) == (("honest",), ("brief",), ())
    assert not difference.reordered


def test_header() -> None:
    difference = diff_constitutions(law(KIND, version="1"), law(KIND, version="2", description="New."))
    assert difference.header == (FieldChange("version", "1", "2"), FieldChange("description", "", "New."))


def test_another_weight_is_no_change_of_verdicts() -> None:
    difference = diff_constitutions(law(KIND), law(KIND.model_copy(update={"weight": 2.0})))
    assert difference.reweighted == (Reweighting("kind", 1.0, 2.0),)
    assert difference.changed == ()


def test_another_text_makes_new_verdicts_and_another_example_does_not() -> None:
    text = KIND.model_copy(update={"text": "The reply is warm."})
    example = BRIEF.model_copy(update={"examples": (Example(prompt="Hi", better="Yes.", worse="a b c d e f"),)})
    difference = diff_constitutions(law(KIND, BRIEF), law(text, example))
    first, second = difference.changed
    assert (first.id, first.verdicts_change) == ("kind", True)
    assert first.fields == (FieldChange("text", "The reply is kind.", "The reply is warm."),)
    assert (second.id, second.verdicts_change, second.fields[0].field) == ("brief", False, "examples")


def test_another_kind_names_the_fields_of_both() -> None:
    checked = CheckedPrinciple(kind="checked", id="kind", text=KIND.text, check={"complete": True})
    (change,) = diff_constitutions(law(KIND), law(checked)).changed
    assert {field.field for field in change.fields} >= {"kind", "check"}
    assert change.verdicts_change


def test_another_id_is_a_renaming() -> None:
    renamed = KIND.model_copy(update={"id": "warm", "weight": 3.0})
    difference = diff_constitutions(law(KIND, BRIEF), law(renamed, BRIEF))
    assert difference.renamed == (Renaming("kind", "warm"),)
    assert (difference.added, difference.removed) == ((), ())
    assert difference.reweighted == (Reweighting("warm", 1.0, 3.0),)


def test_another_order() -> None:
    assert diff_constitutions(law(KIND, BRIEF), law(BRIEF, KIND)).reordered


def test_as_json_is_json() -> None:
    printed = diff_constitutions(law(KIND, HONEST), law(BRIEF, KIND.model_copy(update={"text": "New."}))).as_json()
    assert json.loads(json.dumps(printed)) == printed
    assert printed["added"] == ["brief"] and printed["removed"] == ["honest"]
