"""Letters beyond ASCII, on machines with and without fonts of their own."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from geodet.previews import lettering
from geodet.previews.lettering import letter, width_of
from geodet.previews.preview import draw_scene
from geodet.previews.sheet import Words, paint_shapes

GERMAN = "Bäume im Süden \N{EN DASH} Größe, km²"


@pytest.fixture
def without_fonts(monkeypatch):
    """Pretend that there is no font but Pillow's own, which has no letters beyond ASCII."""
    monkeypatch.setattr(lettering, "_find", lambda name: "")
    letter.cache_clear()
    yield
    letter.cache_clear()


def drawn(text):
    image = Image.new("RGB", (60, 40))
    paint_shapes(image, [Words(text, (10, 20), 24, (255, 255, 255))])
    return np.asarray(image)


def test_a_plain_text_is_in_the_font_that_is_the_same_everywhere():
    assert letter("Trees in May: 1,204") == ("Trees in May: 1,204", "")
    own = ImageFont.load_default(20)
    assert width_of("Trees in May", 20) == own.getlength("Trees in May")


def test_letters_beyond_ascii_are_written():
    assert letter(GERMAN).text == GERMAN  # Matplotlib's font has them
    pictures = [drawn(one) for one in "äöüßéαж²"]
    assert len({one.tobytes() for one in pictures}) == len(pictures)
    assert len({drawn(one).tobytes() for one in ("ä", "a\N{COMBINING DIAERESIS}")}) == 1


@pytest.mark.usefixtures("without_fonts")
def test_without_another_font_letters_are_reduced_to_ascii():
    assert letter(GERMAN) == ("Baume im Suden - Grosse, km2", "")
    assert letter("été № 3 森").text == "ete No 3 ?"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\tb", "a b"), ("a\N{NO-BREAK SPACE}b", "a b"), ("a\x00\N{ZERO WIDTH SPACE}b", "ab")],
)
def test_what_is_no_letter_is_not_drawn(text, shown):
    assert letter(text) == (shown, "")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_a_letter_that_no_font_has_is_no_warning(make_scene, tmp_path, suffix):
    title = f"{GERMAN} \U0001f333"  # a tree
    draw_scene(make_scene(), None, tmp_path / f"a{suffix}", heading=title)
    assert (tmp_path / f"a{suffix}").stat().st_size > 1000
