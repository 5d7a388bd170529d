import pytest

from geodet.config import TrainConfig
from geodet.evaluation.threshold_curves import MatchCounts
from geodet.training.best_model import is_best, is_stale
from geodet.training.run_folder import RunState


def scores(f1):
    return MatchCounts(0.3, round(100 * f1), 100, 100)


def test_of_equal_epochs_the_later_is_best_but_only_a_better_f1_resets_stale():
    state, kept, stale = RunState(), [], []
    for state.epoch, f1 in enumerate([0.0, 0.0, 0.4, 0.3, 0.4, 0.5], start=1):
        kept.append(is_best(state, scores(f1)))
        stale.append(state.stale)
    assert kept == [True, True, True, False, True, True]
    assert stale == [0, 1, 0, 1, 2, 0]
    assert (state.best_epoch, state.best_f1) == (6, 0.5)


def test_without_validation_the_last_epoch_is_kept():
    state = RunState()
    for state.epoch in (1, 2, 3):
        assert is_best(state, None)
    assert state == RunState(epoch=3, best_f1=-1.0, best_epoch=3, stale=0)


@pytest.mark.parametrize(
    ("patience", "stale", "ends"), [(None, 99, False), (3, 2, False), (3, 3, True), (1, 1, True)]
)
def test_a_run_is_stale_after_as_many_validations_as_its_patience(patience, stale, ends):
    assert is_stale(RunState(stale=stale), TrainConfig(patience=patience)) is ends
