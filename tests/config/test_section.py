"""Settings that are made in Python: mistakes are geodet's own errors."""

import copy
import pickle
from types import MappingProxyType

import pytest
from pydantic import ValidationError

from geodet import Config, ConfigError, DataConfig, DetectConfig, ModelConfig, TrainConfig
from geodet.models.description import ModelDescription


@pytest.mark.parametrize(
    ("make", "message", "hint", "key"),
    [
        (
            lambda: Config(detect={"chipsize": 3}),
            "unknown key 'detect.chipsize'",
            "did you mean 'detect.chip_size'?",
            "detect.chipsize",
        ),
        (lambda: Config(detection={}), "unknown key 'detection'", "'detect'", "detection"),
        (
            lambda: DetectConfig(chipsize=3),
            "unknown key 'chipsize'",
            "did you mean 'chip_size'?",
            "chipsize",
        ),
        (lambda: TrainConfig(epochs=0), "epochs = 0: .* or equal to 1", "geodet config", "epochs"),
        (
            lambda: ModelConfig(levels=(9, 2)),
            r"^levels \[9, 2\]: the first must be 2 to 5",
            "geodet config",
            None,
        ),
    ],
)
def test_a_mistake_names_the_key_and_the_way_out(make, message, hint, key):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert hint in caught.value.hint
    assert caught.value.key == key


def test_a_section_within_the_description_of_a_model_is_read_by_pydantic():
    """A file's reader collects the mistakes of all parts."""
    with pytest.raises(ValidationError) as caught:
        ModelDescription.model_validate({"architecture": {"depth": 3}})
    places = [error["loc"] for error in caught.value.errors()]
    assert ("architecture", "depth") in places
    assert ("name",) in places


def test_settings_are_copied_and_sent_to_processes():
    config = Config(detect={"chip_size": 640})
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert config.model_fields_set == {"detect"}


def test_thresholds_by_class_are_any_mapping_and_their_order_is_immaterial():
    """The identifiers of detections, and resuming, depend on the text of the settings."""
    given = DetectConfig(score_threshold=MappingProxyType({"van": 0.5, "car": 0.3}))
    other = DetectConfig(score_threshold={"car": 0.3, "van": 0.5})
    assert given.model_dump_json() == other.model_dump_json()


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: TrainConfig(epochs=True), "epochs"),
        (lambda: DetectConfig(score_threshold=True), "score_threshold"),
        (lambda: DetectConfig(score_threshold={"car": False}), "score_threshold"),
        (lambda: DataConfig(bands=[1, True]), "bands"),
        (lambda: DataConfig(gsd=True), "gsd"),
    ],
)
def test_true_and_false_are_no_numbers(make, key):
    with pytest.raises(ConfigError, match=rf"^{key}.*: true and false are no numbers") as caught:
        make()
    assert caught.value.key == key


def test_two_bands_of_one_name_are_refused():
    with pytest.raises(ConfigError, match=r"band_names = .*: 'red' is listed twice"):
        DataConfig(band_names=("red", "nir", "red"))
