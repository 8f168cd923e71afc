"""Keys are stored as hashes, leases tell the living, and what a POST wrote and its answer are one transaction."""

import asyncio
import hashlib

import pytest
from sqlalchemy import select, update

from service.errors import Conflict, NotAllowed, NotFound, OtherBody
from service.store.access import AnsweredMeanwhile, KeptAnswer, Repeatable
from service.store.records import LabelRecord
from service.store.tables import ApiKey, ExecutorLease, Idempotency


async def test_a_key_is_stored_as_its_hash(store, project):
    made = await store.access.create_key(project, "ci", ("read", "write"))
    prefix, id, secret = made.secret.split("_", 2)
    assert (prefix, f"key_{id}", len(secret)) == ("ck", made.record.id, 43)
    async with store.database.read() as session:
        row = await session.scalar(select(ApiKey).where(ApiKey.id == made.record.id))
        columns = {column.name: getattr(row, column.name) for column in ApiKey.__table__.columns}
    assert columns["secret_sha256"] == hashlib.sha256(made.secret.encode()).hexdigest()
    assert all(secret not in str(value) for value in columns.values())
    assert await store.access.key_of(made.secret) == made.record


async def test_unknown_and_revoked_keys_are_refused(store, project):
    made = await store.access.create_key(project, "ci", ("read",))
    for wrong in ("", "ck_", made.secret[:-1], made.secret + "x", made.secret.upper(), "a\x00b"):
        with pytest.raises(NotAllowed):
            await store.access.key_of(wrong)
    await store.access.revoke_key(project, made.record.id)
    with pytest.raises(NotAllowed, match="unknown or revoked"):
        await store.access.key_of(made.secret)
    assert not await store.access.has_keys()


async def test_another_project_cannot_revoke(store, project):
    made = await store.access.create_key(project, "ci", ("read",))
    stranger = (await store.access.ensure_project("stranger")).id
    with pytest.raises(NotFound):
        await store.access.revoke_key(stranger, made.record.id)


@pytest.mark.parametrize("scopes", [(), ("root",), ("read", "everything")])
async def test_scopes_are_known_ones(store, project, scopes):
    with pytest.raises(Conflict, match="take of read, write, admin"):
        await store.access.create_key(project, "ci", scopes)


async def test_a_lease_lives_while_it_is_renewed(store):
    assert not await store.leases.renew("worker-1", 60)  # not without `first`
    assert await store.leases.renew("worker-1", 60, first=True)
    assert await store.leases.renew("worker-1", 60)
    assert await store.leases.living() == ["worker-1"]
    async with store.database.write() as session:
        await session.execute(update(ExecutorLease).values(expires_at=0.0))
    await store.leases.remove_expired()
    assert await store.leases.living() == []
    assert not await store.leases.renew("worker-1", 60)  # taken away: the worker must end


async def test_a_lease_is_dropped(store):
    await store.leases.renew("worker-1", 60, first=True)
    await store.leases.drop("worker-1")
    assert await store.leases.living() == []


ASKED = ("POST /v1/labels", "key-1", "1" * 64)


def asked(project, route=ASKED[0], key=ASKED[1], digest=ASKED[2]):
    return Repeatable(project, route, key, digest)


async def labels_of(store, project):
    return [label.prompt for label in await store.labels.list(project)]


async def post_label(store, project, prompt, answer="made"):
    """What a route does: write, then answer."""
    async with store.repeats.first_time(asked(project)) as keep:
        await store.labels.add(LabelRecord("", project, "ann", prompt, "a", "b", "a", None, "", ""))
        await keep(KeptAnswer(201, answer))


async def test_an_answer_is_kept_with_what_was_written(store, project):
    assert await store.repeats.answered(asked(project)) is None
    await post_label(store, project, "once")
    assert await store.repeats.answered(asked(project)) == KeptAnswer(201, "made")
    assert await labels_of(store, project) == ["once"]


async def test_what_fails_after_it_wrote_leaves_nothing(store, project):
    async def fails():
        async with store.repeats.first_time(asked(project)):
            await store.labels.add(LabelRecord("", project, "ann", "lost", "a", "b", "a", None, "", ""))
            assert await labels_of(store, project) == ["lost"]  # the block sees its own writes
            raise Conflict("the power went out before the answer")

    with pytest.raises(Conflict, match="the power went out"):
        await fails()
    assert await labels_of(store, project) == []
    assert await store.repeats.answered(asked(project)) is None
    await post_label(store, project, "again")
    assert await labels_of(store, project) == ["again"]


async def test_of_many_twins_one_is_carried_out(store, project):
    async def one(number):
        try:
            await post_label(store, project, f"twin {number}", f"twin {number}")
            return "made"
        except AnsweredMeanwhile:
            return "twin"

    outcomes = await asyncio.gather(*(one(number) for number in range(8)))
    assert sorted(outcomes) == ["made"] + ["twin"] * 7
    (prompt,) = await labels_of(store, project)
    assert await store.repeats.answered(asked(project)) == KeptAnswer(201, prompt)


async def test_a_key_belongs_to_one_project_and_one_route_and_one_body(store, project):
    await post_label(store, project, "mine")
    stranger = (await store.access.ensure_project("stranger")).id
    assert await store.repeats.answered(asked(stranger)) is None
    assert await store.repeats.answered(asked(project, route="POST /v1/runs")) is None
    with pytest.raises(OtherBody, match="another body; take a new key"):
        await store.repeats.answered(asked(project, digest="2" * 64))


async def test_a_long_route_is_told_from_another(store, project):
    long = "POST /v1/runs/" + "x" * 300
    async with store.repeats.first_time(asked(project, route=long)) as keep:
        await keep(KeptAnswer(200, "long"))
    assert await store.repeats.answered(asked(project, route=long)) == KeptAnswer(200, "long")
    assert await store.repeats.answered(asked(project, route=long + "x")) is None


async def test_answers_are_forgotten_after_a_week(store, project):
    await post_label(store, project, "old")
    await store.repeats.forget_old()
    assert await store.repeats.answered(asked(project)) is not None
    async with store.database.write() as session:
        await session.execute(update(Idempotency).values(created_at="2020-01-01T00:00:00.000000Z"))
    await store.repeats.forget_old()
    assert await store.repeats.answered(asked(project)) is None
