"""Labels of a project, written short."""

from judges.records import Message
from service.store.label_records import TaskLabel

PROMPT = (Message("user", "Which is better?"),)


def label(annotator="ann_1", pair="pair", choice="a", *, number=0, **other):
    """A comparison; `number` orders the labels in time."""
    fields = {
        "label_id": f"lab_{number:05}",
        "task_id": f"task_{pair}",
        "label_project_id": "prj_1",
        "annotator_id": annotator,
        "kind": "compare",
        "pair_id": pair,
        "prompt": PROMPT,
        "replies": ("one", "two"),
        "principle_id": None,
        "routed_by": "all",
        "gold": None,
        "training": False,
        "judge_p_a": None,
        "choice": choice,
        "order": (0, 1),
        "ranking": (),
        "rewrite": "",
        "comment": "",
        "seconds": 20.0,
        "created_at": f"2026-01-01T00:00:00.{number:06}Z",
    }
    return TaskLabel(**(fields | other))


def labels_of(annotator, choices, *, start=0, **other):
    """One label for each choice, on pairs 0, 1, 2 ...; a space leaves the pair out."""
    names = {"a": "a", "b": "b", "t": "tie", "x": "both_bad", "s": "skip"}
    return [
        label(annotator, f"pair_{n:03}", names[short], number=start + n, **other)
        for n, short in enumerate(choices)
        if short != " "
    ]
