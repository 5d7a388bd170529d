// What is written over the map: the place under the pointer, and a scale bar.

const LONGEST = 120; // pixels of the bar

/** Show where the pointer is, in pixels and in the CRS of the scene. */
export function showPlace(map, about, frame) {
  const output = document.getElementById("place");
  const [a, b, c, d, e, f] = about.scene.transform;
  map.on("mousemove", ({ lngLat }) => {
    const [x, y] = frame.toPixels([lngLat.lng, lngLat.lat]);
    const isIn = x >= 0 && y >= 0 && x < about.scene.width && y < about.scene.height;
    const world = [a * x + b * y + c, d * x + e * y + f];
    const digits = Math.max(Math.abs(a), Math.abs(b)) < 1e-3 ? 6 : 1;
    const place = about.scene.crs ? `${world.map((one) => one.toFixed(digits)).join(", ")} · ` : "";
    output.value = isIn ? `${place}column ${Math.floor(x)}, row ${Math.floor(y)}` : "";
  });
}

/** Show a bar of a round length: metres on the ground, or pixels where they are unknown. */
export function showScale(map, about, frame) {
  const bar = document.getElementById("scale-bar");
  const text = document.getElementById("scale-text");
  const draw = () => {
    const middle = map.getContainer().clientHeight / 2;
    const [left, right] = [0, LONGEST].map((x) => {
      const place = map.unproject([x, middle]);
      return frame.toPixels([place.lng, place.lat]);
    });
    const unit = about.scene.gsd ?? 1;
    const most = Math.hypot(right[0] - left[0], right[1] - left[1]) * unit;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((step) => step * power).find((one) => one <= most);
    bar.style.width = `${(length / most) * LONGEST}px`;
    text.textContent = about.scene.gsd ? metres(length) : `${round(length)} px`;
  };
  map.on("move", draw);
  draw();
}

function metres(length) {
  if (length >= 1000) return `${round(length / 1000)} km`;
  return length >= 1 ? `${round(length)} m` : `${round(length * 100)} cm`;
}

function round(number) {
  return String(Number(number.toPrecision(3)));
}
