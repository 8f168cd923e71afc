"""Which replies of base and adapter meet, and who won; worked by hand."""

from judges.records import Abstention, Message, Preference, PrincipleVerdict, Prompt, Sample, Verdict
from service.pipeline.against_base import Meeting, judged_meetings, meetings_of, questions_of
from training.evaluation import JudgedMeeting

PROMPT = Prompt("p", (Message("user", "Hi?"),), "held_out")


def verdict(meeting: Meeting, answer: Verdict) -> PrincipleVerdict:
    return PrincipleVerdict(meeting.comparison.id, "p", "kind", "judged", "j", "0" * 64, answer)


def samples(*texts: str) -> list[Sample]:
    return [Sample(f"s{i}", "p", i, text, "stop", "m", "0" * 64, 1, 1) for i, text in enumerate(texts)]


def test_replies_meet_by_index_and_no_more_than_asked() -> None:
    met = meetings_of(PROMPT, samples("a", "b", "c")[::-1], samples("x", "y", "z"), 2)
    assert [(m.before, m.after) for m in met] == [("a", "x"), ("b", "y")]


def test_the_adapter_wins_whichever_side_of_the_pair_it_is() -> None:
    meeting, mirrored = Meeting(PROMPT, "old", "new"), Meeting(PROMPT, "new", "old")
    p_new = 0.9
    p_a = p_new if meeting.comparison.a == "new" else 1 - p_new
    answer = verdict(meeting, Preference(p_a, p_a, p_a, 1.0))
    # The judge is asked once; what the base wrote in one meeting the adapter wrote in the other.
    assert len(questions_of([meeting, mirrored])) == 1
    won = [m.p_after_wins for m in judged_meetings([meeting, mirrored], ["kind"], [answer])]
    assert won[0] == 0.9 and abs(won[1] - 0.1) < 1e-12


def test_equal_texts_are_a_draw_without_a_question() -> None:
    same = Meeting(PROMPT, "same", "same")
    assert questions_of([same]) == ()
    assert judged_meetings([same], ["kind", "true"], []) == [
        JudgedMeeting("p", "kind", 0.5),
        JudgedMeeting("p", "true", 0.5),
    ]


def test_an_abstention_is_no_meeting() -> None:
    meeting = Meeting(PROMPT, "old", "new")
    assert judged_meetings([meeting], ["kind"], [verdict(meeting, Abstention("unreadable", "?"))]) == []
