"""The small curves of an annotator's work."""

from service.labelling.quality import quality_report
from service.pages.work_curves import work_of
from tests.service.labelling.answers import labels_of


def test_curves_by_hand():
    # Forty answers: all of the first twenty right on gold, ten of the last; 20 seconds each.
    labels = labels_of("x", "a" * 30 + "b" * 10, gold="a")
    [one] = work_of(quality_report([*labels, *labels_of("y", "a" * 5)]).annotators)
    assert one.annotator_id == "x"
    gold, agreement, seconds = one.curves
    # The middles of labels 1 to 20 and 21 to 40 of 40, on a width of 220; a height of 64 is 100 %.
    assert gold.line == "57.8,0.0 167.8,32.0"
    assert gold.points[1].said == "labels 21 to 40: 50.0 % (29.9 % to 70.1 %, 20 answers)"
    assert gold.band.startswith("57.8,0.0 167.8,19.2 167.8,44.8 57.8,")
    assert agreement.points == ()
    assert (seconds.top, seconds.line) == ("20 s", "57.8,0.0 167.8,0.0")
    assert work_of(()) == ()
