"""One belief from several judges: log-odds weights from as few as 30 gold labels, by penalised logistic regression.

    p_a = sigmoid(sum over judges of weight * logit(p_a of the judge))

No intercept: called the other way round, a comparison gets the opposite belief. Fitting all judges together, not one
by one, is what discounts judges that repeat each other. The prior of each weight, with the judge's log-odds scaled to
mean square 1, is normal around 0.2 with variance 1/2. For a judge that answers yes or no a weight is the log-odds of
its being right, alone: 19 of 20 such judges are right in 24 to 83 % of cases.

A judge may count against its word only where labels show it: the 95 % bound, one-sided, of its accuracy lies below
one half (Wilson). Such a weight tells of these comparisons only; on easier ones the same judge is right, so take gold
labels at random from what will be judged.

Left out: a plain vote, which follows correlated judges into their common error, and unsupervised estimates of judges'
accuracy (Dawid and Skene 1979), which lock on to it: nothing here fits without gold labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from judges.calibration.labels import Floats, check_both_classes, check_probabilities
from judges.calibration.votes import VoteTable, spread, vote_table
from judges.combine import HIGHEST_P, LOWEST_P
from judges.errors import CalibrationError, NoLabels, UnequalLengths
from judges.intervals import wilson
from judges.records import Abstention, Preference, PrincipleVerdict

ONE_SIDED_Z_95 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class PanelPrior:
    """Normal prior of a weight on log-odds of mean square 1. Raise `precision` for many judges and very few labels.

    Switch `turn_harmful` off where the gold labels are harder than what will be judged: no weight is negative then.
    """

    mean: float = 0.2
    precision: float = 2.0
    turn_harmful: bool = True


@dataclass(frozen=True, slots=True)
class PanelWeights:
    """`weights[j]` multiplies the log-odds of `judges[j]`; negative for a judge shown to be harmful."""

    judges: tuple[str, ...]
    weights: tuple[float, ...]
    labels: int


@dataclass(frozen=True, slots=True)
class PanelBelief:
    """`p_a` is 0.01 to 0.99. `spread` is the disagreement of the judges' log-odds: send the highest to people first.

    `effective_judges` is Kish's (sum |w|)^2 / sum w^2 over those that answered: near 1, one judge decided alone.
    """

    p_a: float
    spread: float
    effective_judges: float
    abstentions: int


DEFAULT_PRIOR = PanelPrior()


def fit_panel(table: VoteTable, label_N: Floats, prior: PanelPrior = DEFAULT_PRIOR) -> PanelWeights:
    """Weights from gold labels (shape N: 1 where reply A is better, 0.5 a tie) on the table's comparisons."""
    if len(label_N) != len(table.comparisons):
        raise UnequalLengths(f"{len(label_N)} labels stand beside {len(table.comparisons)} comparisons; give one each")
    if len(label_N) == 0:
        raise NoLabels("a panel is weighed by gold labels; label about 30 comparisons at random")
    check_probabilities("label", label_N)
    check_both_classes(label_N)
    logits_NJ = table.logits_NJ()
    # A judge that never answered, or always tied, has no scale; any will do, since its log-odds are all zero.
    scale_J = np.sqrt(np.sum(logits_NJ**2, axis=0) / np.maximum(1, table.answered_NJ.sum(axis=0)))
    scale_J = np.where(scale_J > 0, scale_J, 1.0)
    weights_J = _most_probable(
        logits_NJ / scale_J, label_N, prior, may_turn_J=_harmful_J(table, label_N) & prior.turn_harmful
    )
    return PanelWeights(table.judges, tuple((weights_J / scale_J).tolist()), len(label_N))


def panel_beliefs(table: VoteTable, panel: PanelWeights) -> Floats:
    """The belief for each comparison, shape N, 0.01 to 0.99; one half where no judge answered."""
    _check_judges(table, panel)
    beliefs_N = expit(table.logits_NJ() @ np.array(panel.weights))
    return np.asarray(np.clip(beliefs_N, LOWEST_P, HIGHEST_P), dtype=np.float64)


def panel_belief(verdicts: Sequence[PrincipleVerdict], panel: PanelWeights) -> PanelBelief | Abstention:
    """One comparison's belief and how the panel came to it. Where no judge answered, the first one's abstention."""
    known = dict(zip(panel.judges, panel.weights, strict=True))
    unknown = sorted({v.judge for v in verdicts} - known.keys())
    if unknown:
        raise CalibrationError(f"judge {unknown[0]!r} has no weight in this panel; fit the panel again with it")
    if len({v.comparison_id for v in verdicts}) > 1:
        raise CalibrationError("these verdicts are on several comparisons; give those on one")
    answered = [v for v in verdicts if isinstance(v.verdict, Preference)]
    if not answered:
        abstained = [v.verdict for v in verdicts if isinstance(v.verdict, Abstention)]
        return abstained[0] if abstained else Abstention("empty", "no judge of the panel was asked")
    table = vote_table(answered)
    logits_J, weights_J = table.logits_NJ()[0], np.array([known[judge] for judge in table.judges])
    squares = float(weights_J @ weights_J)
    return PanelBelief(
        p_a=float(np.clip(expit(logits_J @ weights_J), LOWEST_P, HIGHEST_P)),
        spread=spread(logits_J),
        effective_judges=float(np.abs(weights_J).sum()) ** 2 / squares if squares > 0 else 0.0,
        abstentions=len(verdicts) - len(answered),
    )


def _most_probable(x_NJ: Floats, label_N: Floats, prior: PanelPrior, may_turn_J: NDArray[np.bool_]) -> Floats:
    """The mode of the posterior; a weight that may not turn negative stops at 0. Convex, so there is one."""

    def loss(weight_J: Floats) -> float:
        logit_N = x_NJ @ weight_J
        off_J = weight_J - prior.mean
        return float(np.sum(np.logaddexp(0, logit_N) - label_N * logit_N) + prior.precision * (off_J @ off_J) / 2)

    def gradient(weight_J: Floats) -> Floats:
        error_N = expit(x_NJ @ weight_J) - label_N
        return np.asarray(error_N @ x_NJ + prior.precision * (weight_J - prior.mean), dtype=np.float64)

    bounds = [(None if may_turn else 0.0, None) for may_turn in may_turn_J]
    start_J = np.full(x_NJ.shape[1], prior.mean)
    best = minimize(loss, start_J, jac=gradient, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12})
    return np.asarray(best.x, dtype=np.float64)


def _harmful_J(table: VoteTable, label_N: Floats) -> NDArray[np.bool_]:
    """Judges whose accuracy on the labels, ties one half, lies below one half with 95 % confidence."""
    truth_N1 = np.sign(label_N - 0.5)[:, None]
    right_J = np.sum((1 + np.sign(table.logits_NJ()) * truth_N1) / 2, axis=0, where=table.answered_NJ)
    answered_J = table.answered_NJ.sum(axis=0)
    highest = [wilson(r, int(n), ONE_SIDED_Z_95).high for r, n in zip(right_J, answered_J, strict=True)]
    return np.array(highest) < 0.5


def _check_judges(table: VoteTable, panel: PanelWeights) -> None:
    if table.judges != panel.judges:
        raise CalibrationError(f"the panel was fitted for {panel.judges}, the verdicts are of {table.judges}")
