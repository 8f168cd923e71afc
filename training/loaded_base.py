"""A base model from its folder. Transformers' report of what it lacked is shown where it tells of something wrong.

A task's own head is nothing wrong: a reward model has one that the base lacks, and leaves the base's.
"""

import logging
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedModel

from training.damaged_files import load_advice
from training.errors import TrainingError

Kind = type[AutoModelForCausalLM | AutoModelForSequenceClassification]

_NEW_HEADS, _LEFT_HEADS = {"score.weight"}, {"lm_head.weight"}
_LOGGER = logging.getLogger("transformers.modeling_utils")


class _Held(logging.Filter):
    """Keeps the reports until it is known whether they tell of something wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if "LOAD REPORT" not in record.getMessage():
            return True
        self.reports.append(record)
        return False


def loaded_base(kind: Kind, folder: Path, **more: object) -> PreTrainedModel:
    """The model. Raises TrainingError where it cannot be loaded, or weights of it are in no file: they would be random.

    What is in the files and in no layer is warned of, as transformers does.
    """
    held, wrong = _Held(), True
    _LOGGER.addFilter(held)
    try:
        with load_advice(folder, "model"):
            model, found = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **more)
        lacking, left = sorted(found["missing_keys"] - _NEW_HEADS), found["unexpected_keys"] - _LEFT_HEADS
        wrong = bool(lacking or left)
    finally:
        _LOGGER.removeFilter(held)
        for report in held.reports if wrong else ():
            _LOGGER.handle(report)
    if lacking:
        raise TrainingError(
            f"{folder}: {len(lacking)} weights of the model are in none of its files, {lacking[0]} the first; name a "
            "folder that has them all"
        )
    return model
