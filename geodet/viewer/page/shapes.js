// Boxes in pixels of the scene: [x1, y1, x2, y2], or oriented [x, y, length, width, angle].

/** Return the box of an object, oriented if it is. */
export function shapeOf(object) {
  return object.oriented_px ?? object.box_px;
}

/** Return a box as a request names it. */
export function asRequest(shape) {
  return isOriented(shape) ? { oriented_px: shape } : { box_px: shape };
}

/** Return the corners, of which each is opposite to the one after the next. */
export function cornersOf(shape) {
  if (!isOriented(shape)) {
    const [x1, y1, x2, y2] = shape;
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
  }
  const [x, y, length, width, angle] = shape;
  const [cos, sin] = [Math.cos(angle) / 2, Math.sin(angle) / 2];
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([a, b]) => [
    x + a * length * cos - b * width * sin,
    y + a * length * sin + b * width * cos,
  ]);
}

/** Tell whether a place is in a box. */
export function holds(shape, place) {
  const [x, y, length, width, angle] = toOriented(shape);
  const [along, across] = inAxes([place[0] - x, place[1] - y], angle);
  return Math.abs(along) <= length / 2 && Math.abs(across) <= width / 2;
}

/** Return a box moved by pixels of the scene. */
export function moved(shape, dx, dy) {
  if (isOriented(shape)) return [shape[0] + dx, shape[1] + dy, ...shape.slice(2)];
  return shape.map((side, n) => side + [dx, dy][n % 2]);
}

/** Return a box moved by pixels, but not beyond the scene, whose edge would cut it. */
export function movedWithin(shape, dx, dy, width, height) {
  if (isOriented(shape)) return moved(shape, dx, dy);
  const [x1, y1, x2, y2] = shape;
  return moved(shape, within(dx, -x1, width - x2), within(dy, -y1, height - y2));
}

function within(step, least, most) {
  return Math.min(Math.max(step, Math.min(least, 0)), Math.max(most, 0));
}

/** Return a box grown on each side by pixels of the scene: in width and height, or along and across. */
export function grown(shape, by, across = by) {
  if (!isOriented(shape)) {
    const [x1, y1, x2, y2] = shape;
    return [x1 - by, y1 - across, x2 + by, y2 + across];
  }
  const [x, y, length, width, angle] = shape;
  return [x, y, length + 2 * by, width + 2 * across, angle];
}

/** Return an oriented box turned clockwise by degrees; an axis-aligned one becomes oriented. */
export function turned(shape, degrees) {
  const [x, y, length, width, angle] = toOriented(shape);
  return [x, y, length, width, angle + (degrees * Math.PI) / 180];
}

/** Return a box of the same angle between two opposite corners. */
export function resized(shape, fixed, end) {
  if (!isOriented(shape)) return span(fixed, end);
  const angle = shape[4];
  const [along, across] = inAxes([end[0] - fixed[0], end[1] - fixed[1]], angle);
  return [(fixed[0] + end[0]) / 2, (fixed[1] + end[1]) / 2, Math.abs(along), Math.abs(across), angle];
}

/** Return the axis-aligned box between two places. */
export function span([ax, ay], [bx, by]) {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

function isOriented(shape) {
  return shape.length === 5;
}

function toOriented(shape) {
  if (isOriented(shape)) return shape;
  const [x1, y1, x2, y2] = shape;
  return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0];
}

/** Return the parts of a step along and across the longer side. */
function inAxes([dx, dy], angle) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [dx * cos + dy * sin, dy * cos - dx * sin];
}
