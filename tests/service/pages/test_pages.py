"""What stands on the pages, and that it stands there as text."""

import re
from dataclasses import replace

from service.errors import FailureCause
from service.pages.layout import HEADERS
from service.shards import to_parquet
from service.store.records import PreferenceSetRecord
from tests.service.pages.conftest import Pages
from tests.service.pages.seeding import BUNDLE, rows


async def test_what_a_model_wrote_is_text_on_every_page(pages: Pages) -> None:
    seen = 0
    for page in pages.seeded.pages:
        answer = await pages.person.get(page)
        assert answer.status_code == 200, page
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        # The only scripts are files of ours, and nothing carries a style or a handler.
        assert re.findall(r"<script(?! src=\"/static/)[^>]*>", answer.text) == []
        assert re.findall(r"<[^>]+\s(?:style|on\w+)=", answer.text.replace("&lt;", "")) == []
        assert "\x1b" not in answer.text, page
        seen += answer.text.count("&lt;script&gt;alert(")
    assert seen >= 8


async def test_the_newest_run_stands_first(pages: Pages) -> None:
    text = (await pages.person.get("/ui/runs")).text
    assert text.index(pages.seeded.living_run) < text.index(pages.seeded.finished_run)
    assert (
        "25.0 % → 75.0 %" in text and "62.5 %" in text
    )  # all checks before and after; the judged principle's win rate
    assert text.count("short@2") == 2


async def test_long_lists_have_pages(pages: Pages) -> None:
    made = [await pages.backend.store.runs.get_any(pages.seeded.finished_run)]
    for _ in range(20):
        made.append(
            await pages.backend.store.runs.create(
                pages.project, made[0].request, made[0].references, pages.backend.enqueue
            )
        )
    first = (await pages.person.get("/ui/runs")).text
    older = re.search(r'href="(/ui/runs\?before=[^"]+)">Older', first)
    assert older is not None
    second = (await pages.person.get(older[1])).text
    links = [re.findall(r"/ui/runs/(run_\w+)", text) for text in (first, second)]
    assert [len(own) for own in links] == [20, 2]
    assert len({*links[0], *links[1]}) == 22
    assert "Older" not in second and "Newest" in second


async def test_a_run_tells_its_stages_curves_and_effect(pages: Pages) -> None:
    text = (await pages.person.get(f"/ui/runs/{pages.seeded.finished_run}")).text
    for said in ("The run has succeeded.", "finished in 61.0 s", "1 min 1 s", "mean words", "held out kl", "+50.0"):
        assert said in text, said
    assert f"/ui/adapters/{pages.seeded.adapter}/download" in text
    assert f"<code>charter label create --run {pages.seeded.finished_run} --review</code>" in text
    for said in (
        "70.0 %",
        "0.25 (0.1 to 0.4)",
        "agree in 72.5 %",
        "12 right answers",
        "3 rows were left out by the ratio",
    ):
        assert said in " ".join(text.split()), said
    living = (await pages.person.get(f"/ui/runs/{pages.seeded.living_run}")).text
    assert re.search(r'<progress aria-label="sample" max="12" value="3">', living)
    assert "about 9.0 s left" in living
    curves = (await pages.person.get(f"/ui/runs/{pages.seeded.finished_run}/curves")).json()
    assert [(one["name"], one["steps"]) for one in curves] == [("loss", [1, 2, 3]), ("kl", [1, 2, 3])]
    assert curves[1]["series"][1] == {"label": "held out kl", "values": [None, None, 0.1]}


async def test_a_session_opens_the_stream_of_events(pages: Pages) -> None:
    address = f"/ui/runs/{pages.seeded.finished_run}/events?after=1"
    answer = await pages.person.get(address)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("id: 2\nevent: stage\n")
    assert (await pages.person.get(address, headers={"Last-Event-ID": "7"})).text.startswith("id: 8\n")


async def test_a_failed_run_can_be_resumed(pages: Pages) -> None:
    await pages.backend.store.runs.move(pages.seeded.living_run, "failed", "the <b>disk</b> is full")
    page = f"/ui/runs/{pages.seeded.living_run}"
    text = (await pages.person.get(page)).text
    assert "the &lt;b&gt;disk&lt;/b&gt; is full" in text
    csrf = re.search(r'name="csrf" value="(\w+)"', text)
    assert csrf is not None
    assert (await pages.person.post(f"{page}/resume", data={"csrf": csrf[1]})).status_code == 303
    assert (await pages.backend.store.runs.get_any(pages.seeded.living_run)).status == "queued"
    again = await pages.person.post(f"{page}/resume", data={"csrf": csrf[1]})
    assert again.status_code == 409 and "only a failed or cancelled run" in again.text
    assert again.headers["content-type"].startswith("text/html")


async def test_where_memory_ran_out_a_run_is_resumed_with_less(pages: Pages) -> None:
    run, runs = pages.seeded.living_run, pages.backend.store.runs
    page = f"/ui/runs/{run}"

    async def failed(said: str, cause: FailureCause | None = None) -> str:
        if (await runs.get_any(run)).status == "failed":
            await runs.resume(pages.project, run, pages.backend.enqueue)
        await runs.move(run, "failed", said, cause)
        return (await pages.person.get(page)).text

    async def resumed(**fields: str) -> tuple[int, bool]:
        csrf = re.search(r'name="csrf" value="(\w+)"', await failed("the trainer ended", "out_of_memory"))
        assert csrf is not None
        answer = await pages.person.post(f"{page}/resume", data={"csrf": csrf[1], **fields})
        assert answer.status_code == 303, answer.text
        training = (await runs.get_any(run)).request.training
        return training.tokens_per_batch, training.gradient_checkpointing

    assert "tokens_per_batch" not in await failed("the disk is full")
    # What the trainer says is no sign: only the cause is.
    assert 'name="tokens_per_batch"' not in await failed("out of memory; lower training.tokens_per_batch")
    text = await failed("the trainer was killed", "killed")
    assert "2,048 so far" in text and 'name="tokens_per_batch" value="1024" min="8"' in text
    assert 'type="checkbox" name="gradient_checkpointing"' in text
    assert await resumed(tokens_per_batch="") == (2048, False)
    assert await resumed(tokens_per_batch="1024") == (1024, False)
    assert await resumed(tokens_per_batch="9", gradient_checkpointing="true") == (9, True)
    # Half of it would be less than may be; what is on already is not offered.
    text = await failed("the trainer ended", "out_of_memory")
    assert 'name="tokens_per_batch" value="8"' in text and 'name="gradient_checkpointing"' not in text
    csrf = re.search(r'name="csrf" value="(\w+)"', text)
    refused = await pages.person.post(f"{page}/resume", data={"csrf": csrf[1] if csrf else "", "tokens_per_batch": "7"})
    assert refused.status_code == 422 and "tokens_per_batch" in refused.text
    assert (await runs.get_any(run)).status == "failed"


async def test_what_a_failed_training_kept_is_on_its_pages(pages: Pages) -> None:
    seeded, adapters = pages.seeded, pages.backend.store.adapters
    made = await adapters.get(pages.project, seeded.adapter)
    early = replace(made, run_id=seeded.living_run, name="early", last_good_step=20)
    kept = (await adapters.add(early)).id
    text = (await pages.person.get(f"/ui/runs/{seeded.living_run}")).text
    assert f'href="/ui/adapters/{kept}/download">Download the adapter of step 20' in text
    assert f'<dt>Last good adapter</dt><dd><a href="/ui/adapters/{kept}">early</a>, of step 20</dd>' in text
    assert "20: the training failed after it" in (await pages.person.get(f"/ui/adapters/{kept}")).text
    assert (await pages.person.get("/ui/adapters")).text.count("training failed") == 1
    # Resumed and trained to its end, the run has another, which is what it made.
    await adapters.add(replace(early, name="whole", last_good_step=None))
    text = (await pages.person.get(f"/ui/runs/{seeded.living_run}")).text
    assert "Download the adapter (" in text and "Download the adapter of step" not in text
    assert ">early</a>, of step 20<" in text and ">whole</a>" in text


async def test_versions_are_compared_word_by_word(pages: Pages) -> None:
    seeded = pages.seeded
    text = (await pages.person.get(f"/ui/constitutions/{seeded.new_law}?against={seeded.old_law}")).text
    assert "What changed from version 1 to 2" in text and "Changed: brief" in text
    assert re.search(r"<del>.*fifty.*</del>", text) and re.search(r"<ins>.*thirty.*</ins>", text)
    assert "Changed: kind" not in text
    alone = (await pages.person.get(f"/ui/constitutions/{seeded.new_law}")).text
    assert "What changed" not in alone and "The reply is &lt;b&gt;kind&lt;/b&gt;." in alone
    assert re.search(r"info: <strong>kind</strong>: .*unproven", alone)


async def test_pairs_are_found_by_source_principle_doubt_and_text(pages: Pages) -> None:
    page = f"/ui/preference-sets/{pages.seeded.preference_set}"

    async def found(query: str) -> list[str]:
        text = (await pages.person.get(f"{page}?{query}")).text
        return re.findall(r"<code>(row_\d|h1)</code>", text)

    assert await found("") == ["row_0", "row_1", "row_2", "h1"]
    assert await found("source=human") == ["h1"]
    assert await found("unsure=true") == ["row_0"]
    assert await found("principle=kind") == ["row_0", "row_1", "row_2"]
    assert await found("principle=kin") == []
    assert await found("text=REPLY+2") == ["row_2"]
    assert await found('text="blue"') == ["h1"]
    assert await found("text=sky&source=ai&begin=1") == ["row_1", "row_2"]
    assert await found("begin=9") == []


async def test_a_demonstration_has_one_reply(pages: Pages) -> None:
    data = to_parquet([replace(rows()[0], rejected="")])
    await pages.backend.artifacts.put_new("preferences/one.parquet", data)
    record = PreferenceSetRecord(
        "", pages.project, "one", "demonstrations", "0" * 64, "preferences/one.parquet", 1, {}, None, ""
    )
    id = (await pages.backend.store.preference_sets.add(record)).id
    text = (await pages.person.get(f"/ui/preference-sets/{id}")).text
    assert "<dt>Demonstrations</dt><dd>1</dd>" in text and "<h3>Reply</h3>" in text and "Rejected" not in text


async def test_a_pair_shows_both_orders_of_each_principle(pages: Pages) -> None:
    page = f"/ui/preference-sets/{pages.seeded.preference_set}/pairs"
    part = await pages.person.get(f"{page}/0/verdicts", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    # The chosen reply is B: 1 - 0.45, and 1 - 0.25 where B was shown first.
    assert re.findall(r"(\d\.\d\d)\s*<?/?", part.text)[:3] == ["0.55", "0.75", "0.30"]
    assert "abstained: no label mass" in part.text and "The two orders name different winners." in part.text
    assert "did not compare this pair" in (await pages.person.get(f"{page}/3/verdicts")).text
    assert (await pages.person.get(f"{page}/99/verdicts")).status_code == 200


async def test_an_adapter_is_downloaded(pages: Pages) -> None:
    answer = await pages.person.get(f"/ui/adapters/{pages.seeded.adapter}/download")
    assert answer.content == BUNDLE and answer.headers["content-type"] == "application/gzip"


async def test_what_is_not_there_is_told_on_a_page(pages: Pages) -> None:
    for page in ("/ui/runs/run_x", "/ui/constitutions/con_x", "/ui/preference-sets/<b>", "/ui/adapters/adp_x", "/ui/x"):
        answer = await pages.person.get(page)
        assert answer.status_code == 404 and "<h1>Not Found</h1>" in answer.text, page
        assert "<b>" not in answer.text and answer.headers["Content-Security-Policy"]
    bad = await pages.person.get(f"/ui/preference-sets/{pages.seeded.preference_set}?begin=-1")
    assert bad.status_code == 422 and "begin" in bad.text


async def test_another_project_sees_nothing(pages: Pages) -> None:
    other = (await pages.backend.store.access.ensure_project("other")).id
    secret = (await pages.backend.store.access.create_key(other, "k", ("read", "write"))).secret
    async with pages.with_key(secret) as person:
        for page in pages.seeded.pages:
            answer = await person.get(page)
            assert "short" not in answer.text and "mixed" not in answer.text.replace("mixed pairs are a set", ""), page
            assert answer.status_code == (200 if page.count("/") == 2 else 404), page
        assert (await person.get(f"/ui/adapters/{pages.seeded.adapter}/download")).status_code == 404


async def test_a_run_names_the_sets_of_people_and_of_right_answers(pages: Pages) -> None:
    made = await pages.backend.store.runs.get_any(pages.seeded.finished_run)
    sets = [
        await pages.backend.store.preference_sets.add(
            PreferenceSetRecord("", pages.project, name, "human", "0" * 64, "none", 1, {}, None, "")
        )
        for name in ("people", "right")
    ]
    named = replace(made.references, human_id=sets[0].id, gold_id=sets[1].id)
    run = await pages.backend.store.runs.create(pages.project, made.request, named, pages.backend.enqueue)
    text = (await pages.person.get(f"/ui/runs/{run.id}")).text
    for called, one in zip(("People&#39;s pairs", "Right answers"), sets, strict=True):
        assert f'<dt>{called}</dt><dd><a href="/ui/preference-sets/{one.id}">' in text
    without = (await pages.person.get(f"/ui/runs/{made.id}")).text
    assert "Right answers" not in without
