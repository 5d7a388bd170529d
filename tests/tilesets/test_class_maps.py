import pytest
from factories_tilesets import paint_image, write_coco

from geodet.config import DataConfig
from geodet.config.recipes import resolve_config, to_toml
from geodet.errors import ConfigError, TilesetError
from geodet.tilesets.class_maps import map_names
from geodet.tilesets.tileset import read_tileset

NAMES = ("car", "van", "tree")


@pytest.fixture
def data(tmp_path):
    for split in ("train", "val"):
        paint_image(tmp_path / f"{split}.png")
        boxes = {f"{split}.png": [(n, 1 + 9 * n, 1, 5, 5) for n in range(3)]}
        write_coco(tmp_path / f"{split}.json", boxes, NAMES)
    return tmp_path


def classes_of(tileset):
    return [[tileset.classes[n] for n in image.labels] for image in tileset.images]


@pytest.mark.parametrize(
    "text",
    ["{car=vehicle,van=vehicle}", '{car = "vehicle", van = "vehicle"}', "car=vehicle, van=vehicle"],
)
def test_classes_are_renamed_and_joined(data, text):
    config = resolve_config(settings=[f"data.class_map={text}"]).data
    assert config.class_map == {"car": "vehicle", "van": "vehicle"}
    tileset = read_tileset(data, config)
    assert tileset.classes == ("vehicle", "tree")
    assert classes_of(tileset) == [["vehicle", "vehicle", "tree"]] * 2


def test_two_classes_are_swapped(data):
    tileset = read_tileset(data, DataConfig(class_map={"car": "van", "van": "car"}))
    assert classes_of(tileset) == [["van", "car", "tree"]] * 2


def test_mapped_classes_are_ignored_by_their_new_name(data):
    config = DataConfig(class_map={"car": "vehicle", "van": "vehicle"}, ignore_classes=("vehicle",))
    tileset = read_tileset(data, config)
    assert tileset.classes == ("tree",)
    assert [len(image.ignored) for image in tileset.images] == [2, 2]


def test_a_class_that_the_labels_lack_is_refused(data):
    with pytest.raises(
        TilesetError, match=r"no class 'vna', which data\.class_map renames"
    ) as caught:
        read_tileset(data, DataConfig(class_map={"vna": "vehicle"}))
    assert "did you mean 'van'?" in caught.value.hint
    with pytest.raises(TilesetError, match="no class 'vna'"):
        map_names(NAMES, data, DataConfig(class_map={"vna": "vehicle"}))
    assert map_names((), data, DataConfig(class_map={"vna": "vehicle"})) == ()


@pytest.mark.parametrize("text", ["{car}", "{car=}", "{car=a=b}", "car", "3"])
def test_a_map_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match=r"data\.class_map"):
        resolve_config(settings=[f"data.class_map={text}"])


@pytest.mark.parametrize("text", ["{car=a,van=b,car=c}", '{car = "a", car = "c"}'])
def test_a_map_with_two_new_names_of_a_class_is_refused(text):
    with pytest.raises(ConfigError, match=r"data\.class_map.*: 'car' is listed twice"):
        resolve_config(settings=[f"data.class_map={text}"])


def test_a_map_survives_writing_and_reading(tmp_path):
    config = resolve_config(settings={"data.class_map": {"small car": "vehicle", "van": "a, b"}})
    (tmp_path / "recipe.toml").write_text(to_toml(config))
    assert resolve_config(tmp_path / "recipe.toml") == config


def test_a_class_with_nul_is_refused_wherever_it_comes_from(data):
    with pytest.raises(ConfigError, match="NUL"):
        resolve_config(settings={"data.class_map": {"car": "a\0b"}})
    with pytest.raises(ConfigError, match="NUL"):
        resolve_config(settings={"data.class_name": "a\0"})
    with pytest.raises(TilesetError, match=r"the class 'tr\\x00ee' has the character NUL"):
        map_names(["car", "tr\0ee"], data, DataConfig())
    for split in ("train", "val"):
        boxes = {f"{split}.png": [(1, 1, 1, 5, 5)]}
        write_coco(data / f"{split}.json", boxes, ("car", "va\0n", "tree"))
    with pytest.raises(TilesetError, match="NUL"):
        read_tileset(data, DataConfig())


def test_letters_with_accents_are_one_class_however_they_are_stored(tmp_path):
    """macOS writes them apart."""
    for split, name in (("train", "Ba\u0308ume"), ("val", "B\u00e4ume")):
        paint_image(tmp_path / f"{split}.png")
        write_coco(tmp_path / f"{split}.json", {f"{split}.png": [(0, 1, 1, 5, 5)]}, (name,))
    assert read_tileset(tmp_path, DataConfig()).classes == ("B\u00e4ume",)
    assert map_names(["Ba\u0308ume"], "a.gpkg", DataConfig()) == ("B\u00e4ume",)
