"""Label projects by the Python client and the command line, against a service that listens."""

import json

import httpx
import pytest
from typer.testing import CliRunner

from service.cli.__main__ import app
from service.client import ApiError, Client
from service.errors import ServiceError
from service.labelling.schemas import LabelProjectRequest, Routing

PAIRS = '{"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}\n'


def test_a_project_from_its_file_to_a_preference_set(client, live, tmp_path):
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    client.add_preferences(tmp_path / "pairs.jsonl", name="few")
    file = tmp_path / "project.yaml"
    file.write_text("name: by command\npreference_set: few\n")
    own = {"CHARTER_URL": live.process.url, "CHARTER_API_KEY": live.process.api_key()}

    def charter(*arguments):
        done = CliRunner().invoke(app, ["label", *arguments], env=own)
        assert done.exit_code == 0, done.output
        return done.stdout

    charter("create", str(file))
    assert charter("list").splitlines()[-1].split("\t")[1:] == ["by command", "open", "1", "1", "0", "compare"]
    link = charter("invite", "by command", "Ada").strip()
    assert link.startswith(f"{live.process.url}/label/enter/")
    ada = charter("people", "by command").split("\t")[0]
    headers = {"Authorization": f"Bearer {live.process.api_key()}"}
    with httpx.Client(base_url=live.process.url, headers=headers, trust_env=False) as http:
        path = f"/v1/label-projects/{client.label_project('by command').id}/tasks/next?annotator={ada}"
        [task] = http.get(path).json()["data"]
        said = {"task_id": task["id"], "annotator": ada, "choice": "tie", "comment": "Both are short."}
        http.post("/v1/labels", json=said).raise_for_status()
    [told] = [json.loads(line) for line in charter("labels", "by command", "--commented").splitlines()]
    assert (told["choice"], told["comment"], told["annotator_id"]) == ("tie", "Both are short.", ada)
    refused = CliRunner().invoke(app, ["label", "prompts", "by command"], env=own)
    assert "nobody has said" in str(refused.exception)
    assert '"rows": 1' in charter("export", "by command", "--name", "answers", "--weights", "measured")
    told = charter("quality", "by command")
    assert told.startswith("1 labels, 0 skips, 0 training answers; 1 questions, 0 of them answered by two")
    assert "Krippendorff's alpha: too few" in told
    assert any(line.split()[:4] == ["Ada", "-", "1", "0"] for line in told.splitlines())
    assert json.loads(charter("quality", "by command", "--json"))["annotators"][0]["annotator_id"] == ada
    assert charter("revoke", "by command", "Ada") == "revoked Ada\n"
    assert '"status": "closed"' in charter("close", "by command")
    for command in ("delete", "route"):
        refused = CliRunner().invoke(app, ["label", command, "by command"], env=own)
        assert isinstance(refused.exception, ApiError) and refused.exception.status == 409
    assert charter("delete", "by command", "--with-labels") == "deleted by command\n"
    assert "by command" not in charter("list")
    assert "answers" in [one.name for one in client.preference_sets()]  # made of the labels before


def test_a_project_is_routed_again(client, live, tmp_path):
    pairs = "".join(json.dumps({"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."}) + "\n" for n in range(4))
    (tmp_path / "pairs.jsonl").write_text(pairs)
    client.add_preferences(tmp_path / "pairs.jsonl", name="four")
    routing = Routing(policy="uncertain", budget_labels=3, random_share=0.5)
    made = client.create_label_project(LabelProjectRequest(name="routed", preference_set="four", routing=routing))
    ada = client.invite(made.id, "Ada").annotator.id
    headers = {"Authorization": f"Bearer {live.process.api_key()}"}
    with httpx.Client(base_url=live.process.url, headers=headers, trust_env=False) as http:
        [task] = http.get(f"/v1/label-projects/{made.id}/tasks/next?annotator={ada}").json()["data"]
        http.post("/v1/labels", json={"task_id": task["id"], "annotator": ada, "choice": "first"}).raise_for_status()
    own = {"CHARTER_URL": live.process.url, "CHARTER_API_KEY": live.process.api_key()}
    done = CliRunner().invoke(app, ["label", "route", "routed"], env=own)
    assert done.exit_code == 0, done.output
    assert '"labelled": 1' in done.stdout and '"added": 1' in done.stdout


def test_prompts_whose_replies_are_both_bad_become_a_prompt_set(client, live, tmp_path):
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    client.add_preferences(tmp_path / "pairs.jsonl", name="bad")
    made = client.create_label_project(LabelProjectRequest(name="to be revised", preference_set="bad"))
    ada = client.invite(made.id, "Ada").annotator.id
    headers = {"Authorization": f"Bearer {live.process.api_key()}"}
    with httpx.Client(base_url=live.process.url, headers=headers, trust_env=False) as http:
        [task] = http.get(f"/v1/label-projects/{made.id}/tasks/next?annotator={ada}").json()["data"]
        http.post("/v1/labels", json={"task_id": task["id"], "annotator": ada, "choice": "both_bad"}).raise_for_status()
    own = {"CHARTER_URL": live.process.url, "CHARTER_API_KEY": live.process.api_key()}
    done = CliRunner().invoke(app, ["label", "prompts", "to be revised", "--name", "weak"], env=own)
    assert done.exit_code == 0, done.output
    [weak] = [found for found in client.prompt_sets() if found.name == "weak"]
    assert (weak.train, weak.held_out) == (1, 0) and weak.id in done.stdout


def test_a_project_by_the_client(client, tmp_path):
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    client.add_preferences(tmp_path / "pairs.jsonl", name="few")
    made = client.create_label_project(LabelProjectRequest(name="by client", preference_set="few", overlap=2))
    assert (made.tasks, made.overlap, made.kind, made.routing.policy) == (1, 2, "compare", "all")
    invitation = client.invite(made.id, "Ada")
    assert [person.id for person in client.annotators(made.id)] == [invitation.annotator.id]
    assert client.label_quality(made.id).annotators == ()
    assert made.id in [project.id for project in client.label_projects()]
    client.revoke_annotator(made.id, invitation.annotator.id)
    assert client.close_label_project(made.id).status == "closed"
    client.delete_label_project(made.id)
    with pytest.raises(ApiError):
        client.label_project(made.id)


def test_a_file_sent_twice_makes_two_projects_and_that_is_told(live, client, tmp_path):
    own = {"CHARTER_URL": live.process.url, "CHARTER_API_KEY": live.process.api_key()}
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    client.add_preferences(tmp_path / "pairs.jsonl", name="asked twice")
    (tmp_path / "project.yaml").write_text("name: twice\npreference_set: asked twice\n")
    first, second = (
        CliRunner().invoke(app, ["label", "create", str(tmp_path / "project.yaml")], env=own) for _ in "ab"
    )
    older, newer = [one.id for one in client.label_projects() if one.name == "twice"]  # oldest first
    assert (first.stderr, first.exit_code) == ("", 0) and newer in second.stdout
    assert second.stderr.startswith(
        f"{older}: an open project of that name was there before; from now on 'twice' means"
    )
    client.close_label_project(newer)
    client.delete_label_project(older)
    third = CliRunner().invoke(app, ["label", "create", str(tmp_path / "project.yaml")], env=own)
    assert (third.stderr, third.exit_code) == ("", 0)


def test_a_run_whose_pairs_are_asked_about_by_options_alone(live, tmp_path):
    own = {"CHARTER_URL": live.process.url, "CHARTER_API_KEY": live.process.api_key()}
    (tmp_path / "project.yaml").write_text("overlap: 2\n")
    for arguments in (["--run", "run_x", "--review"], [str(tmp_path / "project.yaml"), "--run", "run_x", "--review"]):
        done = CliRunner().invoke(app, ["label", "create", *arguments], env=own)
        assert isinstance(done.exception, ApiError) and done.exception.status == 404, done.exception
    done = CliRunner().invoke(app, ["label", "create", "--review"], env=own)
    assert "--run run_..." in str(done.exception)
    done = CliRunner().invoke(app, ["label", "create", "--run", "run_x", "--name", "/"], env=own)
    assert str(done.exception).startswith("the options: name: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\n", "name a preference_set or a run"),
        ("name: [\n", "not YAML"),
        ("name: x\npreference_set: y\noverlap: 0\n", "overlap: "),
    ],
)
def test_a_file_that_is_no_project_says_where(tmp_path, text, said):
    file = tmp_path / "project.yaml"
    file.write_text(text)
    done = CliRunner().invoke(app, ["label", "create", str(file), "--api-key", "ck_x"])
    assert str(file) in str(done.exception) and said in str(done.exception)
    done = CliRunner().invoke(app, ["label", "create", str(tmp_path / "none.yaml"), "--api-key", "ck_x"])
    assert "No such file" in str(done.exception)


def test_a_link_that_was_lost_on_its_way_is_told(odd):
    def without_a_link(request):
        body = json.dumps({"annotator": {"id": "ann_1"}, "url": None}).encode()
        request.send_response(201)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    odd.answers.append(without_a_link)
    with Client(odd.url, api_key="ck_x") as client, pytest.raises(ServiceError, match="revoke them and invite again"):
        client.invite("helpful", "Ada")
