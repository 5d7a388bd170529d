// Which of the objects that are drawn a click means.

const REACH = 4; // pixels around a click that hits nothing
const DOT = 2; // pixels around a dot, which stands for a box of less than four
const ALIKE = 1.1; // areas that differ by less are of the same size

/** Return the features that a click hits, or else those that are near it. */
export function aimedAt(map, point, layers) {
  const found = (place) =>
    map.queryRenderedFeatures(place, { layers }).filter((feature) => !feature.state.reviewed);
  const hit = found(point).filter((one) => !isPoint(one) || wayTo(map, one, point) <= DOT);
  if (hit.length) return hit;
  return found([
    [point.x - REACH, point.y - REACH],
    [point.x + REACH, point.y + REACH],
  ]);
}

/** Return the smallest of some features; among several of its size, the one whose centre is nearest. */
export function smallest(map, point, features) {
  const areas = new Map(features.map((feature) => [feature, areaOf(map, feature)]));
  const most = Math.min(...areas.values()) * ALIKE;
  const small = features.filter((feature) => areas.get(feature) <= most);
  return small.reduce((a, b) => (wayTo(map, b, point) < wayTo(map, a, point) ? b : a));
}

function isPoint(feature) {
  return feature.geometry.type === "Point";
}

/** Return the distance from the centre of a feature to a point of the map, in pixels. */
function wayTo(map, feature, point) {
  const places = isPoint(feature) ? [map.project(feature.geometry.coordinates)] : ringOf(map, feature).slice(1);
  const mean = (axis) => places.reduce((sum, place) => sum + place[axis], 0) / places.length;
  return Math.hypot(mean("x") - point.x, mean("y") - point.y);
}

/** Return the area of a feature in square pixels of the map; 0 for a point. */
function areaOf(map, feature) {
  if (isPoint(feature)) return 0;
  const ring = ringOf(map, feature);
  const parts = ring.slice(1).map((b, n) => ring[n].x * b.y - b.x * ring[n].y);
  return Math.abs(parts.reduce((sum, part) => sum + part, 0)) / 2;
}

/** Return the outline of a feature in pixels of the map, whose last place is the first again. */
function ringOf(map, feature) {
  const { type, coordinates } = feature.geometry;
  return coordinates.flat(type === "Polygon" ? 0 : 1)[0].map((place) => map.project(place));
}
