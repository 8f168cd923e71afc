"""`charter key create` and `charter gc` work on the store itself."""

import re

from service.errors import Conflict


def test_a_key_is_made_and_printed_once(charter):
    first, second = charter("key", "create", "laptop"), charter("key", "create", "ci", "--scope", "read")
    assert re.fullmatch(r"ck_[0-9a-f]{32}_[A-Za-z0-9_-]{43}\n", first.stdout)
    assert second.stdout != first.stdout


def test_an_unknown_scope_is_refused_with_the_known_ones(charter):
    result = charter("key", "create", "x", "--scope", "root")
    assert isinstance(result.exception, Conflict)
    assert "read, write, admin" in str(result.exception)


def test_gc_says_what_it_would_delete_and_then_deletes_it(charter, tmp_path):
    forgotten = tmp_path / "home" / "artifacts" / "shards" / "forgotten.parquet"
    forgotten.parent.mkdir(parents=True)
    forgotten.write_bytes(b"x")
    scratch = tmp_path / "home" / "scratch" / f"run_{0:032x}"
    scratch.mkdir(parents=True)
    told = charter("gc", "--dry-run", "--settle-s", "0").stdout
    assert sorted(told.splitlines()) == [f"scratch/run_{0:032x}/", "shards/forgotten.parquet"]
    assert forgotten.exists() and scratch.exists()
    assert "deleted 2 file(s), kept 0" in charter("gc", "--settle-s", "0").stderr
    assert not forgotten.exists() and not scratch.exists()
