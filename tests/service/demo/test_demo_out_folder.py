"""What an earlier demo brought is set aside whole; what one was cut short in is cleared."""

import os
from pathlib import Path

import pytest

from service.demo.errors import DemoError
from service.demo.out_folder import LOCK, out_folder_held, set_aside_results


def write(out: Path, *names: str) -> None:
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)


def test_an_empty_folder_has_nothing_to_set_aside(tmp_path):
    assert set_aside_results(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_results_are_moved_with_their_service_and_the_users_own_notes_stay(tmp_path):
    write(tmp_path, "summary.json", "adapter.tar.gz", "adapter/adapter_config.json", "service/charter.sqlite", "notes")
    os.utime(tmp_path / "summary.json", (1e9, 1e9))
    folder = set_aside_results(tmp_path)
    assert folder is not None and folder.parent == tmp_path / "earlier" and folder.name.startswith("2001-09-")
    assert {path.name for path in folder.iterdir()} == {"summary.json", "adapter.tar.gz", "adapter", "service"}
    assert {path.name for path in tmp_path.iterdir()} == {"earlier", "notes"}


def test_a_move_that_was_cut_short_is_taken_up_again(tmp_path):
    write(tmp_path, "summary.json", "adapter.tar.gz")
    first = set_aside_results(tmp_path)
    assert first is not None
    (first / "summary.json").rename(tmp_path / "summary.json")  # as a kill just before the last rename leaves it
    assert set_aside_results(tmp_path) == first
    assert {path.name for path in first.iterdir()} == {"summary.json", "adapter.tar.gz"}


def test_an_adapter_that_could_not_be_tried_is_kept_too(tmp_path):
    write(tmp_path, "adapter.tar.gz", "service/charter.sqlite")
    folder = set_aside_results(tmp_path)
    assert folder is not None and (folder / "adapter.tar.gz").is_file()


def test_what_was_cut_short_is_cleared(tmp_path):
    write(tmp_path, "service/charter.sqlite", "notes")
    assert set_aside_results(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_folder_is_held_by_one_and_again_by_the_next(tmp_path):
    with out_folder_held(tmp_path) as lock:
        os.pwrite(lock, b"4711\n", 0)
        with (
            pytest.raises(DemoError, match=r"pid 4711\) works in .*; end it with `kill 4711`"),
            out_folder_held(tmp_path),
        ):
            pass
    with out_folder_held(tmp_path):
        assert (tmp_path / LOCK).read_text() == ""
