"""What tests do with the map: find places on the screen, click there, list what is drawn."""

COUNT, SAID = "#objects-count", "#said"
COLOURS = """() => {
  const gl = document.createElement('canvas').getContext('2d');
  const map = geodetMap.getCanvas();
  gl.canvas.width = map.width; gl.canvas.height = map.height;
  return new Promise((resolve) => {
    geodetMap.once('render', () => {
      gl.drawImage(map, 0, 0);
      const found = {};
      const pixels = gl.getImageData(0, 0, map.width, map.height).data;
      for (let i = 0; i < pixels.length; i += 4) {
        const name = pixels.slice(i, i + 3).join();
        found[name] = (found[name] ?? 0) + 1;
      }
      resolve(found);
    });
    geodetMap.triggerRepaint();
  });
}"""
DRAWN = "() => geodetMap.queryRenderedFeatures({layers: ['objects-hits']}).map((one) => one.id)"


def settle(page):
    page.evaluate(
        "() => new Promise((done) => geodetMap.once('idle', done) && geodetMap.triggerRepaint())"
    )


def drawn(page):
    settle(page)
    return set(page.evaluate(DRAWN))


def place(page, column, row):
    """Return where a pixel of the scene is on the screen."""
    return page.evaluate(
        """async ([x, y]) => {
          const { Frame } = await import(new URL('frame.js', document.baseURI).href);
          const about = await (await fetch('about.json')).json();
          const point = geodetMap.project(new Frame(about).toLngLat(x, y));
          return [point.x, point.y];
        }""",
        [column, row],
    )


def click_at(page, column, row):
    page.mouse.click(*place(page, column, row))


def drag(page, start, end):
    """Drag from one pixel of the scene to another."""
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=5)
    page.mouse.up()
