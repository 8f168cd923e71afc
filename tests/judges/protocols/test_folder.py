"""A user's own protocol is a folder: it is read strictly, and judges like ours."""

import pytest

from judges.errors import TemplateError
from judges.protocols.registry import PROTOCOLS, load_protocol
from judges.records import Preference
from tests.judges.protocols.conftest import SHORT, pair

PROMPTS = {
    "choice": "Look.\n{{reply_a}}\n{{reply_b}}\nUnder {{principle}}: A or B?",
    "score": "{{conversation}}\n{{reply}}\nOf {{principle}}, give a mark from 1 to {{highest}}.",
    "yes_no": "{{reply}}\nIs it so that {{principle}}? yes or no",
    "listwise": "{{replies}}\n{{principle}}\nOrder {{letters}} from best to worst with > between.",
}


def folder_of(tmp_path, declared, prompt):
    (tmp_path / "protocol.yaml").write_text(declared)
    (tmp_path / "prompt.txt").write_text(prompt)
    return str(tmp_path)


@pytest.mark.parametrize("reader", PROMPTS)
async def test_a_users_protocol_judges(tmp_path, judged, reader):
    protocol = load_protocol(folder_of(tmp_path, f"reader: {reader}\n", PROMPTS[reader]))
    one = await judged(protocol, comparison=pair(SHORT, "word " * 30))
    other = await judged(protocol, comparison=pair("word " * 30, SHORT))
    assert isinstance(one.verdict, Preference) and isinstance(other.verdict, Preference)
    assert one.verdict.p_a > 0.7
    assert one.verdict.p_a == pytest.approx(1 - other.verdict.p_a)
    assert one.template_sha256 == protocol.template_sha256
    assert one.template_sha256 not in {load_protocol(name).template_sha256 for name in PROTOCOLS}


def test_the_scale_is_declared(tmp_path):
    protocol = load_protocol(folder_of(tmp_path, "reader: score\nhighest: 7\n", PROMPTS["score"]))
    assert protocol.labels == ("1", "2", "3", "4", "5", "6", "7")


@pytest.mark.parametrize(
    ("reader", "prompt", "said"),
    [
        (
            "score",
            PROMPTS["score"] + "{{reply_a}}",
            r"no field 'reply_a' with reader score; known are conversation, hi",
        ),
        (
            "choice",
            PROMPTS["choice"] + " {{reward}}",
            r"no field 'reward' with reader choice; .*question, reply_a, reply_b$",
        ),
        ("yes_no", PROMPTS["yes_no"] + " {{highest}}", r"no field 'highest'"),
        ("choice", "{{reply_a}}\n{{principle}}", r"with reader choice it must show \{\{reply_b\}\}"),
        ("score", "{{reply}}", r"it must show \{\{principle\}\}"),
        ("score", "The reply: {{reply}}\n{{principle}}", r"\{\{reply\}\} must stand on a line of its own"),
    ],
)
def test_a_wrong_template_names_its_field_and_file(tmp_path, reader, prompt, said):
    with pytest.raises(TemplateError, match=rf"prompt\.txt: .*{said}"):
        load_protocol(folder_of(tmp_path, f"reader: {reader}\n", prompt))


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("", "must be a short mapping"),
        ("- reader", "must be a short mapping"),
        ("reader: vote", "`reader` is 'vote'; choose one of choice, score, yes_no, listwise"),
        ("reader: [choice]", "`reader` is a list; choose one of"),
        ("highest: 5", "`reader` is None; choose one of"),
        ("reader: choice\nlabels: [A]", "unknown key 'labels'"),
        ("reader: choice\nhighest: 5", "`highest` belongs to `reader: score`"),
        ("reader: score\nhighest: 10", "`highest` is 10; it must be a whole number, 2 to 9"),
        ("reader: score\nhighest: 1", "it must be a whole number"),
        ("reader: score\nhighest: true", "it must be a whole number"),
        ("reader: score\nhighest: 4.5", "it must be a whole number"),
        ("reader: {", "cannot be read"),
        ("reader: !!python/object:os.system x", "cannot be read"),
        ("# " + "x" * 100_000, "must be a short mapping"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path, declared, said):
    with pytest.raises(TemplateError, match=r"protocol\.yaml: ") as caught:
        load_protocol(folder_of(tmp_path, declared, PROMPTS["choice"]))
    assert said in str(caught.value)


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(TemplateError, match=r"protocol\.yaml: cannot be read"):
        load_protocol(str(tmp_path))
    (tmp_path / "protocol.yaml").write_text("reader: choice")
    with pytest.raises(TemplateError, match=r"prompt\.txt: cannot be read"):
        load_protocol(str(tmp_path))
    (tmp_path / "prompt.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(TemplateError, match=r"prompt\.txt: cannot be read as UTF-8"):
        load_protocol(str(tmp_path))
