from dataclasses import replace

import numpy as np
import pytest
import torch
from factories_models import labelled, paint_chip, painted, random_squares, write_pixels
from torch.utils.data import DataLoader

from geodet.config import AugmentConfig
from geodet.errors import SceneError
from geodet.models.input_values import trained_bounds
from geodet.models.inputs import standardise
from geodet.tilesets.displayed_images import read_chip
from geodet.training import training_chips
from geodet.training.band_statistics import BandStatistics
from geodet.training.chip_loader import EpochSampler, collate
from geodet.training.training_chips import TrainingChips

PLAIN = AugmentConfig(flips=False, scale=0, brightness=0, contrast=0, tint=0, blur=0)
STRONG = AugmentConfig(scale=0.4, gamma=0.2, blur=0.5, noise=0.5)
# PyTorch advises against two workers where there is one core.
ON_ONE_CORE = pytest.mark.filterwarnings("ignore:This DataLoader will create")
UNITS = {"uint8": 1, "uint16": 100, "float32": 1 / 255}
"""How many of its unit a byte is in each dtype."""


def statistics(low=0.0, high=255.0, bands=3):
    return BandStatistics([100.0] * bands, [50.0] * bands, [low] * bands, [high] * bands)


def chips(images, augment=STRONG, *, size=64, bands=(), seed=0, about=None, **options):
    return TrainingChips(
        images,
        bands=bands,
        statistics=about or statistics(),
        augment=augment,
        chip_size=size,
        seed=seed,
        **options,
    )


def paint_bytes(path, boxes, *, dtype, size=96, bands=3):
    """Paint dark 20 and bright 230 in bytes, whatever the dtype's unit."""
    unit = UNITS[dtype]
    return paint_chip(
        path, boxes, size=(size, size), bands=bands, dtype=dtype, dark=20 * unit, bright=230 * unit
    )


def same_items(a, b):
    """Whether two items of the dataset are equal to the last bit."""
    return np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) and same_targets(a[2], b[2])


def same_targets(a, b):
    """Whether two targets are equal to the last bit; upright ones have no oriented boxes."""
    return all(x is y is None or torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("dtype", "suffix"), [("uint8", "png"), ("uint16", "tif"), ("float32", "tif")]
)
def test_boxes_stay_on_their_objects(tmp_path, dtype, suffix):
    box = [50, 40, 70, 56]
    path = paint_bytes(tmp_path / f"a.{suffix}", [box], dtype=dtype)
    unit = UNITS[dtype]
    dataset = chips([labelled(path, [box], [3])], about=statistics(0, 255 * unit))
    seen = 0
    for index in range(120):
        pixels, _, target = dataset[index]
        values = pixels[0] / unit
        bright = values > max(115, (values.max() + np.median(values)) / 2)  # halfway up the edge
        if not len(target.boxes):
            assert bright.sum() <= 0.45 * 20 * 16 * 1.4**2
            continue
        rows, columns = np.nonzero(bright)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(target.boxes.numpy(), [found], atol=1.5)
        assert target.labels.tolist() == [3]
        seen += 1
    assert seen > 40


def test_every_object_of_many_stays_in_place(tmp_path):
    boxes = random_squares(1, count=6, size=96)
    dataset = chips([painted(tmp_path / "a.png", boxes, np.arange(6), size=(96, 96))])
    for index in range(40):
        pixels, _, target = dataset[index]
        assert len(target.boxes) == len(target.labels)
        for x1, y1, x2, y2 in target.boxes.round().int().tolist():
            inside = pixels[0, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
            assert inside.size == 0 or inside.min() > 105


def test_boxes_are_cut_at_the_edge_and_slivers_are_ignored(tmp_path):
    image = painted(tmp_path / "a.png", [[0, 0, 20, 20]], size=(96, 96))
    dataset = chips([image], PLAIN, size=32)
    shares = []
    for index in range(300):
        pixels, _, target = dataset[index]
        visible = (pixels[0] > 105).sum() / 400
        shown = torch.cat([target.boxes, target.ignored])
        assert (shown >= 0).all()
        assert (shown <= 32).all()
        assert (shown[:, 2:] - shown[:, :2]).prod(dim=1).sum() / 400 == pytest.approx(visible)
        assert (len(target.boxes), len(target.ignored)) == (visible >= 0.4, 0 < visible < 0.4)
        shares.append(visible)
    assert 0 in shares
    assert any(0 < share < 0.4 for share in shares)
    assert any(0.4 <= share < 1 for share in shares)


def test_boxes_around_points_stay_whole_in_the_crop_that_has_the_point(tmp_path):
    """One of them reaches over the edge of its image: that is how they are known."""
    boxes = [[30, 30, 50, 50], [-10, -10, 10, 10]]
    image = painted(tmp_path / "a.png", [[39, 39, 41, 41]], size=(96, 96))
    dataset = chips(
        [replace(image, boxes=np.array(boxes, float), labels=np.zeros(2, int))], size=32
    )
    seen = 0
    for index in range(300):
        pixels, _, target = dataset[index]
        regions = target.ignored
        assert (regions >= 0).all()
        assert (regions <= 32).all()
        centres = (target.boxes[:, :2] + target.boxes[:, 2:]) / 2
        sides = target.boxes[:, 2:] - target.boxes[:, :2]
        assert ((centres >= -1e-4) & (centres <= 32 + 1e-4)).all()
        if len(sides):
            assert 20 / 1.45 < sides.min() <= sides.max() < 20 * 1.45
        rows, columns = np.nonzero(pixels[0] > pixels[0].min() + 100)
        if len(rows) > 3 and rows.min() > 2 and rows.max() < 29 and 2 < columns.min() < 27:
            middle = torch.tensor([columns.mean() + 0.5, rows.mean() + 0.5])
            assert (centres - middle).abs().amax(dim=1).min() < 1
            seen += 1
    assert seen > 5


def test_ignored_regions_go_where_the_image_goes(tmp_path):
    box = [50, 40, 70, 56]
    path = paint_bytes(tmp_path / "a.png", [box], dtype="uint8")
    dataset = chips([labelled(path, ignored=[box])])
    seen = 0
    for index in range(60):
        pixels, _, target = dataset[index]
        assert len(target.boxes) == len(target.labels) == 0
        rows, columns = np.nonzero(
            pixels[0] > max(105, (pixels[0].max() + np.median(pixels[0])) / 2)
        )
        if len(rows) and target.ignored.shape == (1, 4):
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            visible = target.ignored.clamp(0, 64).numpy()
            np.testing.assert_allclose(visible, [found], atol=1.5)
            seen += 1
        else:
            assert not len(rows)
    assert seen > 20


def test_a_region_counts_even_where_a_crop_sees_little_of_it(tmp_path):
    whole = [0, 0, 200, 200]
    image = painted(tmp_path / "a.png", [[4, 4, 9, 9]], size=(200, 200), ignored=[whole])
    dataset = chips([image], size=32)
    for index in range(30):
        ignored = dataset[index][2].ignored.clamp(0, 32)
        np.testing.assert_allclose(ignored, [[0, 0, 32, 32]], atol=0.2)


def test_an_item_depends_on_seed_and_index_alone(tmp_path):
    images = [
        painted(tmp_path / f"{i}.png", random_squares(i, size=96), size=(96, 96)) for i in range(3)
    ]
    first, again, other = chips(images), chips(images), chips(images, seed=1)
    forwards = [first[index] for index in range(9)]
    backwards = [again[index] for index in reversed(range(9))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert same_items(a, b)
    assert not any(same_items(first[index], other[index]) for index in range(9))


def test_chips_differ_from_epoch_to_epoch(tmp_path):
    dataset = chips([painted(tmp_path / "a.png", random_squares(0, size=96), size=(96, 96))])
    items = [dataset[epoch] for epoch in range(6)]
    assert not any(same_items(items[0], item) for item in items[1:])


@ON_ONE_CORE
def test_the_number_of_workers_changes_nothing(tmp_path):
    images = [
        painted(tmp_path / f"{i}.png", random_squares(i), ignored=[[0, 0, 9, 9]]) for i in range(5)
    ]

    def batches(workers):
        sampler = EpochSampler(5, seed=3)
        loader = DataLoader(
            chips(images),
            batch_size=2,
            sampler=sampler,
            collate_fn=collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        for sampler.epoch in range(2):
            yield from loader

    for a, b in zip(batches(0), batches(2), strict=True):
        assert torch.equal(a.pixels, b.pixels)
        assert torch.equal(a.valid, b.valid)
        for left, right in zip(a.targets, b.targets, strict=True):
            assert same_targets(left, right)


@pytest.mark.parametrize(
    ("changes", "place"),
    [({"scale": 0.3}, lambda at, slope: at), ({"contrast": 0.3}, lambda at, slope: at / slope)],
)
def test_the_steps_of_a_variation_are_independent(tmp_path, changes, place):
    """Bands that hold their own coordinates tell what was drawn for a crop."""
    y, x = np.mgrid[0:128, 0:128].astype(np.float32)
    write_pixels(tmp_path / "a.tif", np.stack([x, y]))
    augment, about = PLAIN.model_copy(update=changes), statistics(bands=2)
    dataset = chips([labelled(tmp_path / "a.tif")], augment, size=32, about=about)
    drawn = []
    for index in range(300):
        pixels = dataset[index][0]
        slope = (pixels[0, 5, 25] - pixels[0, 5, 5]) / 20
        corner = pixels[:, 5, 5] - 5 * slope
        drawn.append([place(corner[0], slope), place(corner[1], slope), slope])
    correlation = np.corrcoef(np.array(drawn).T)
    assert np.abs(correlation - np.eye(3)).max() < 0.3


@pytest.mark.parametrize(
    ("dtype", "kept"), [("uint8", "uint8"), ("uint16", "float32"), ("float32", "float32")]
)
def test_chips_keep_the_units_of_the_data(tmp_path, dtype, kept):
    random = np.random.default_rng(0)
    values = (random.integers(1, 250, (2, 64, 64)) * UNITS[dtype]).astype(dtype)
    write_pixels(tmp_path / "a.tif", values)
    image = labelled(tmp_path / "a.tif")
    about = statistics(0, 255 * UNITS[dtype], bands=2)
    pixels, valid, _ = chips([image], PLAIN, about=about)[0]
    assert pixels.dtype == kept
    assert pixels.shape == (2, 64, 64)
    assert valid.all()
    np.testing.assert_allclose(pixels, values, rtol=1e-5, atol=1e-4 * UNITS[dtype])


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float64"])
def test_other_dtypes_are_varied_between_their_quantiles(tmp_path, dtype):
    values = np.linspace(-500 if dtype != "uint16" else 0, 3000, 64 * 64)
    write_pixels(tmp_path / "a.tif", values.reshape(1, 64, 64).astype(dtype))
    dataset = chips([labelled(tmp_path / "a.tif")], about=statistics(200, 2000, bands=1))
    for index in range(20):
        pixels = dataset[index][0]
        assert pixels.dtype == np.float32
        assert 200 - 0.1 <= pixels.min() < pixels.max() <= 2000 + 0.1


@pytest.mark.parametrize("bands", [1, 2, 4, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_any_number_of_bands_is_varied(tmp_path, bands, dtype):
    path = paint_bytes(tmp_path / "a.tif", [[10, 10, 30, 30]], dtype=dtype, bands=bands, size=48)
    about = statistics(0, 255 * UNITS[dtype], bands=bands)
    dataset = chips([labelled(path, [[10, 10, 30, 30]])], about=about)
    for index in range(10):
        pixels, valid, _ = dataset[index]
        assert pixels.shape == (bands, 64, 64)
        assert valid.shape == (64, 64)


def test_chips_have_the_chosen_bands(tmp_path):
    write_pixels(
        tmp_path / "a.tif",
        np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((1, 64, 64), np.uint8),
    )
    image = labelled(tmp_path / "a.tif")
    pixels, _, _ = chips([image], PLAIN, bands=(3, 1))[0]
    assert [band.max() for band in pixels] == [2, 0]
    with pytest.raises(SceneError, match=r"no band 4 in .*a\.tif"):
        read_chip(image, (4,))


def test_padding_is_not_valid(tmp_path):
    image = painted(tmp_path / "a.png", [[0, 0, 40, 30]], size=(40, 30))
    placed = set()
    for index in range(12):
        pixels, valid, target = chips([image], PLAIN)[index]
        x1, y1, x2, y2 = target.boxes[0].int().tolist()
        assert valid.sum() == 40 * 30 == valid[y1:y2, x1:x2].sum()
        assert set(np.unique(pixels[:, ~valid])) <= {20, 230}  # the edge goes on
        placed.add((x1, y1))
    assert len(placed) > 3


def test_pixels_without_data_stay_with_their_image(tmp_path):
    values = np.full((1, 96, 96), 200, np.uint8)
    values[0, 30:60, 20:70] = 7
    write_pixels(tmp_path / "a.tif", values, nodata=7)
    mild = AugmentConfig(scale=0, brightness=0.1, contrast=0.1)
    dataset = chips([labelled(tmp_path / "a.tif")], mild, about=statistics(bands=1))
    for index in range(20):
        pixels, valid, _ = dataset[index]
        assert (pixels[0][valid] > 100).mean() > 0.98  # but where a blur reaches over the edge
        assert not valid.all()


def test_an_image_is_read_once(tmp_path, monkeypatch):
    images = [painted(tmp_path / f"{i}.png") for i in range(2)]
    read = []
    original = training_chips.read_chip
    monkeypatch.setattr(training_chips, "read_chip", lambda *a: read.append(a) or original(*a))
    dataset = chips(images)
    dataset.open_cache()  # reads an image to learn the bands and the dtype
    for index in range(10):
        dataset[index]
    assert len(read) == 3
    dataset = chips(images, cache_bytes=0)
    dataset.open_cache()
    for index in range(10):
        dataset[index]
    assert len(read) == 14


@ON_ONE_CORE
def test_workers_share_what_they_read(tmp_path, monkeypatch):
    images = [painted(tmp_path / f"{i}.png") for i in range(3)]
    log, original = tmp_path / "log", training_chips.read_chip

    def read(image, bands):
        with log.open("a") as file:
            file.write(f"{image.path.name}\n")
        return original(image, bands)

    dataset = chips(images)
    dataset.open_cache()
    monkeypatch.setattr(training_chips, "read_chip", read)
    context = {"multiprocessing_context": "fork", "persistent_workers": True}
    loader = DataLoader(dataset, batch_size=None, num_workers=2, **context)
    for _ in range(4):
        list(loader)
    assert set(log.read_text().split()) == {"0.png", "1.png", "2.png"}
    assert len(log.read_text().split()) <= 6  # at worst both read an image at once
    dataset[0], dataset[1], dataset[2]  # what the workers read is here, too
    assert len(log.read_text().split()) <= 6


def test_a_batch_stacks_its_items(tmp_path):
    dataset = chips([painted(tmp_path / "a.png", [[8, 8, 20, 20]]), painted(tmp_path / "b.png")])
    batch = collate([dataset[0], dataset[1]])
    assert batch.pixels.shape == (2, 3, 64, 64)
    assert batch.pixels.dtype == torch.uint8
    assert (batch.valid.shape, batch.valid.dtype) == ((2, 64, 64), torch.bool)
    assert batch.targets[1].boxes.shape == batch.targets[1].ignored.shape == (0, 4)
    assert batch.targets[1].labels.dtype == torch.int64


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_training_sees_what_detection_sees_where_nothing_is_varied(tmp_path, dtype):
    """Two pixels far from the rest among 4,096: beyond the quantiles, and some no measurement."""
    values = np.random.default_rng(0).integers(1, 200, (2, 64, 64)).astype(dtype)
    top = 255 if dtype == "uint8" else np.finfo(dtype).max if dtype == "float32" else 30_000
    values[:, 30, 30:32] = top
    image = labelled(write_pixels(tmp_path / "a.tif", values))
    clean = np.where(values == top, 100, values).astype(float)  # or the mean would be infinite
    low, high = np.quantile(clean, [0.001, 0.999], axis=(1, 2)).tolist()
    about = BandStatistics(
        clean.mean(axis=(1, 2)).tolist(), clean.std(axis=(1, 2)).tolist(), low, high
    )
    pixels, valid, _ = chips([image], PLAIN, about=about)[0]
    trained = standardise(
        torch.from_numpy(pixels[None]), torch.from_numpy(valid[None]), about.mean, about.std
    )
    chip = read_chip(image, ())
    raw = torch.from_numpy(chip.pixels.astype("uint8" if dtype == "uint8" else "float32")[None])
    bounds = trained_bounds(dtype, about.low, about.high)
    mask = torch.from_numpy(chip.valid[None].copy())  # the chip's own cannot be written to
    seen = standardise(raw, mask, about.mean, about.std, *bounds)
    torch.testing.assert_close(trained, seen, rtol=1e-5, atol=1e-5)
    wanted = {"uint8": (255 - about.mean[0]) / about.std[0], "float32": 0.0}
    capped = (about.high[0] - about.mean[0]) / about.std[0]
    assert seen[0, 0, 30, 30].item() == pytest.approx(wanted.get(dtype, capped), abs=1e-5)
