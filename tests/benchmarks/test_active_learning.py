"""What the benchmark of suggested labels computes by itself."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import geodet

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture(autouse=True)
def _import_as_scripts_do(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


CITY = [
    SimpleNamespace(place=f"town_{place}", path=Path(f"palm_town_{year}_{place}.tif"))
    for place in range(30)
    for year in (2016, 2018, 2020)
]


@pytest.mark.parametrize("seed", [0, 1])
def test_no_place_is_asked_for_and_scored(seed):
    from active_learning import city_of, divide

    pool, exam = divide(CITY, seed)
    assert (len(pool), len(exam)) == (60, 10)
    assert not {one.place for one in pool} & {one.place for one in exam}
    assert {one.path.stem.split("_")[2] for one in exam} == {"2020"}
    assert {city_of(one) for one in CITY} == {"palm_town"}


def test_chips_at_random_differ_by_seed_alone():
    from active_learning import choose

    first, again, other = (choose(None, CITY, "random", 8, seed) for seed in (0, 0, 1))
    assert [one.path for one in first] == [one.path for one in again]
    assert [one.path for one in first] != [one.path for one in other]
    assert len({one.path for one in other}) == 8


def test_rows_become_a_plot(tmp_path):
    from active_learning import plot

    rows = {"base": {"arm": "base", "seed": 0, "chips": 0, "objects": 0, "f1": 0.5}}
    for chips in (8, 16):
        row = {"arm": "random", "seed": 0, "chips": chips, "objects": 40 * chips, "f1": 0.6}
        rows[f"random {chips}"] = row
    plot(rows, tmp_path / "plot.webp")
    assert (tmp_path / "plot.webp").stat().st_size > 1000
