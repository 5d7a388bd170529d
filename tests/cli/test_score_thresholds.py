import pytest
import typer

from geodet.config.recipes import resolve_config
from geodet.errors import ConfigError
from geodet_cli.score_thresholds import parse_thresholds


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, None),
        ("0.4", 0.4),
        ("0", 0.0),
        ("car=0.3,van=0.5", {"car": 0.3, "van": 0.5}),
        (" car = 0.3 , tall tree=1", {"car": 0.3, "tall tree": 1.0}),
        ("a=b=0.3", {"a=b": 0.3}),
    ],
)
def test_one_score_or_scores_by_class(text, wanted):
    assert parse_thresholds(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "high", "1.5", "-0.1", "car=", "car=0.3,0.5", "nan", "=0.3", "0.3,0.5"]
)
def test_anything_else_is_wrong_usage(text):
    with pytest.raises(typer.BadParameter, match="neither a score from 0 to 1"):
        parse_thresholds(text)


def test_a_class_with_two_scores_is_wrong_usage():
    with pytest.raises(typer.BadParameter, match=r"names 'car' twice"):
        parse_thresholds("car=0.3, van=0.5, car =0.4")


@pytest.mark.parametrize(
    "text", ["{car=0.3,van=0.5}", "car=0.3, van=0.5", '{car = 0.3, "van" = 0.5}']
)
def test_settings_take_thresholds_by_class(text):
    found = resolve_config(settings=[f"detect.score_threshold={text}"]).detect.score_threshold
    assert found == {"car": 0.3, "van": 0.5}


@pytest.mark.parametrize("text", ["1.5", "{car=2}", "{car=high}", "[0.3]"])
def test_settings_that_are_no_scores_are_refused(text):
    with pytest.raises(ConfigError, match="a score is a number from 0 to 1"):
        resolve_config(settings=[f"detect.score_threshold={text}"])
