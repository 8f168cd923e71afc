"""`charter constitution lint` and `diff` work on files."""

from constitutions.errors import ConstitutionError
from service.demo.content import CONSTITUTION


def test_the_demos_constitution_is_in_order(charter):
    result = charter("constitution", "lint", str(CONSTITUTION))
    assert (result.exit_code, result.stdout) == (0, f"{CONSTITUTION}: in order\n")


def test_a_wrong_key_is_named_with_its_line(charter, tmp_path):
    file = tmp_path / "law.yaml"
    file.write_text("name: law\nprincipels: []\n", encoding="utf-8")
    result = charter("constitution", "lint", str(file))
    assert isinstance(result.exception, ConstitutionError)
    assert any("line 2" in problem and "principles" in problem for problem in result.exception.problems)


def test_diff_names_what_changed(charter, tmp_path):
    text = CONSTITUTION.read_text(encoding="utf-8")
    changed = tmp_path / "changed.yaml"
    changed.write_text(text.replace("max_words: 35", "max_words: 60"), encoding="utf-8")
    assert charter("constitution", "diff", str(CONSTITUTION), str(CONSTITUTION)).stdout == "no difference\n"
    assert "brief" in charter("constitution", "diff", str(CONSTITUTION), str(changed)).stdout
