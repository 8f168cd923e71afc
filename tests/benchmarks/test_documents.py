"""A study rewrites its own block of a page, and nothing else."""

from benchmarks.documents import rewrite_block, table


def test_a_block_is_replaced_as_a_whole(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nBefore.\n\n<!-- one -->\nold\n<!-- /one -->\n\nAfter.\n")
    rewrite_block(page, "one", "new\n")
    assert page.read_text() == "# Title\n\nBefore.\n\n<!-- one -->\nnew\n<!-- /one -->\n\nAfter.\n"
    rewrite_block(page, "one", "new\n")
    assert page.read_text().count("new") == 1


def test_a_new_block_comes_last_and_a_new_page_has_a_title(tmp_path):
    page = tmp_path / "page.md"
    rewrite_block(page, "one", "first")
    rewrite_block(page, "two", "second")
    assert page.read_text() == (
        "# Judging\n\n<!-- one -->\nfirst\n<!-- /one -->\n\n<!-- two -->\nsecond\n<!-- /two -->\n"
    )


def test_a_table():
    assert table(("a", "b"), [("x", "1")]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
