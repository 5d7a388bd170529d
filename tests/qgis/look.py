"""Open what paint.py wrote in QGIS, without a screen, and check that it looks right there.

/usr/bin/python3 tests/qgis/look.py FOLDER: prints a line for each file and saves a map of each;
exits 1 if anything is wrong. It needs Debian's python3-qgis (3.22 or later) and nothing of geodet.
"""

import atexit
import html
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
PROFILE = tempfile.mkdtemp(prefix="qgis-profile-")  # nobody's own settings take part
atexit.register(shutil.rmtree, PROFILE, ignore_errors=True)
os.environ["QGIS_CUSTOM_CONFIG_PATH"] = os.environ["XDG_RUNTIME_DIR"] = PROFILE

from qgis.core import (  # noqa: E402
    Qgis,
    QgsApplication,
    QgsCoordinateTransform,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize  # noqa: E402
from qgis.PyQt.QtGui import QColor, QImage  # noqa: E402

DPI = 96


def main(folder):
    application = QgsApplication([], False)
    application.initQgis()
    print(f"QGIS {Qgis.QGIS_VERSION}")
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    wrong = sum(report(case, look(case)) for case in cases)
    # No exitQgis(): it crashes while Python still refers to a layer. The process ends here anyway.
    print(f"{len(cases) - wrong} of {len(cases)} files look right")
    sys.stdout.flush()
    shutil.rmtree(PROFILE, ignore_errors=True)
    os._exit(bool(wrong))


def report(case, problems):
    print(f"{'FAIL' if problems else 'ok':4} {Path(case['vector']).name}")
    for problem in problems:
        print(f"     {problem}")
    return bool(problems)


def look(case):
    """List what is wrong with one file."""
    raster = QgsRasterLayer(case["raster"], "scene")
    vector = QgsVectorLayer(case["vector"], "detections", "ogr")
    if not (raster.isValid() and vector.isValid()):
        return ["it does not open"]
    problems = [*check_data(case, raster, vector), *check_style(case, vector)]
    problems += check_tips(case, vector)
    return problems or [*check_map(case, raster, vector)]


def check_data(case, raster, vector):
    features = list(vector.getFeatures())
    yield from differ("CRS", vector.crs().authid(), case["crs"])
    yield from differ("CRS of the raster", raster.crs().authid(), case["raster_crs"])
    yield from differ("number of features", len(features), len(case["centres"]))
    yield from differ("counted features", vector.featureCount(), len(case["centres"]))
    if not all(feature.geometry().isGeosValid() for feature in features):
        yield "a geometry is not valid"
    onto = QgsCoordinateTransform(vector.crs(), raster.crs(), QgsProject.instance())
    shapes = [feature.geometry() for feature in features]
    for shape in shapes:
        shape.transform(onto)
    area = raster.extent().buffered(case["pixel"] / 500)
    if not all(area.contains(shape.boundingBox()) for shape in shapes):
        yield f"an object is not within {area.toString()}"
    yield from check_places(case, [shape.centroid().asPoint() for shape in shapes])


def check_places(case, found):
    """Compare centres with where they were painted, to 1/500 of a pixel: 1 mm. Any order will do.

    A parallel of WGS 84 is no straight line elsewhere, which moves centres by far less than that.
    """
    for x, y in case["centres"]:
        off = min(max(abs(point.x() - x), abs(point.y() - y)) for point in found)
        if off > case["pixel"] / 500:
            yield f"no object is at {x}, {y}; the nearest is {off / case['pixel']:.4f} px off"
            return


def check_style(case, vector):
    renderer = vector.renderer()
    yield from differ("renderer", renderer.type(), "categorizedSymbol")
    if renderer.type() != "categorizedSymbol":
        return
    yield from differ("attribute of the classes", renderer.classAttribute(), "label")
    values = [category.value() for category in renderer.categories()]
    yield from differ("categories", values, [*case["classes"], *case["unused"], ""])
    colours = {colour_of(renderer, value).name() for value in values}
    yield from differ("number of colours", len(colours), len(values))
    if not vector.labelsEnabled():
        yield "its labels are off"
    fields = vector.fields()
    yield from differ(
        "alias of score", vector.attributeDisplayName(fields.indexOf("score")), "Score"
    )
    setup = fields.field("score").editorWidgetSetup()
    yield from differ("digits of score", setup.config().get("Precision"), 2)


def check_tips(case, vector):
    """Evaluate the map tip of each object: names of classes and scenes must bring no markup."""
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(vector))
    seen = set()
    for feature in vector.getFeatures():
        context.setFeature(feature)
        tip = QgsExpression.replaceExpressionText(vector.mapTipTemplate(), context)
        label, scene = (
            html.escape(text, quote=False) for text in (feature["label"], case["scene"])
        )
        if not (tip.startswith(f"<b>{label}</b> 0.") and tip.endswith(f"<br>{scene}")):
            yield f"the map tip is {tip!r}, without {label!r} or {scene!r}"
            return
        seen.add(feature["label"])
    yield from differ("classes in map tips", sorted(seen), sorted(case["classes"]))


def check_map(case, raster, vector):
    """Draw the map over the scene and look for the colours of all classes and for labels."""
    image = draw([vector, raster], raster.extent())
    image.save(str(Path(case["vector"]).with_suffix(f"{Path(case['vector']).suffix}.png")))
    pixels = memoryview(image.constBits().asstring(image.sizeInBytes())).cast("I").tolist()
    for value in case["classes"]:
        if pixels.count(colour_of(vector.renderer(), value).rgba()) < 20:
            yield f"the colour of {value} is not on the map"
    near = raster.extent().scaled(0.2)
    labelled = draw([vector, raster], near)
    vector.setLabelsEnabled(False)
    if labelled == draw([vector, raster], near):
        yield "no labels are drawn"


def draw(layers, extent, side=1000):
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(layers[-1].crs())
    settings.setExtent(extent)
    settings.setOutputSize(QSize(side, side))
    settings.setOutputDpi(DPI)
    settings.setBackgroundColor(QColor("white"))
    settings.setTransformContext(QgsProject.instance().transformContext())
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    return QImage(job.renderedImage())


def colour_of(renderer, value):
    """Return the colour in which a category is outlined."""
    categories = renderer.categories()  # kept: a symbol does not outlive its category
    symbol = categories[renderer.categoryIndexForValue(value)].symbol()
    last = symbol.symbolLayer(symbol.symbolLayerCount() - 1)
    return last.color() if symbol.symbolLayerCount() == 1 else last.strokeColor()


def differ(what, found, wanted):
    return [] if found == wanted else [f"{what}: {found!r}, not {wanted!r}"]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
