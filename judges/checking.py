"""A deterministic check as a verdict: no model is asked, and nothing is uncertain."""

from constitutions.checks.registry import run_check
from constitutions.schema import CheckedPrinciple
from judges.records import Comparison, Preference, PrincipleVerdict

CHECK_JUDGE = "check"


def check_comparison(comparison: Comparison, principle: CheckedPrinciple) -> PrincipleVerdict:
    """1 where only A passes, 0 where only B does, 0.5 where both pass or both fail."""
    a, b = (run_check(principle, comparison.messages, reply) for reply in (comparison.a, comparison.b))
    p_a = 0.5 + (a.passed - b.passed) / 2
    return PrincipleVerdict(
        comparison_id=comparison.id,
        prompt_id=comparison.prompt_id,
        principle_id=principle.id,
        kind="checked",
        judge=CHECK_JUDGE,
        template_sha256="",
        verdict=Preference(p_a, p_a, p_a, label_mass=1.0, reason=f"A: {a.reason}; B: {b.reason}"),
    )
