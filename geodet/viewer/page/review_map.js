// How reviewed objects and windows are drawn.

import { squareToLngLat } from "./frame.js";

const [DARK, WRONG, DONE] = ["#0c0e12", "#ff6b5e", "#3ddc97"];
const isWrong = ["==", ["get", "verdict"], "rejected"];

/** Add the layers of reviewed objects, of windows, and of the corners that can be dragged. */
export function addReviewed(map) {
  for (const name of ["windows", "reviewed", "corners"]) {
    map.addSource(name, { type: "geojson", data: collection([]) });
  }
  const add = (id, type, source, paint, filter) =>
    map.addLayer({ id, type, source, paint, ...(filter ? { filter } : {}) });
  const isDone = ["get", "done"];
  add("windows-done", "fill", "windows", { "fill-color": DONE, "fill-opacity": 0.12 }, isDone);
  add("windows-edges", "line", "windows", { "line-color": DONE, "line-width": 1.5 }, isDone);
  const current = { "line-color": "#ffffff", "line-width": 2, "line-dasharray": [4, 3] };
  add("windows-current", "line", "windows", current, ["get", "current"]);
  const colour = ["get", "colour"];
  add("reviewed-hits", "fill", "reviewed", { "fill-opacity": 0 });
  add("reviewed-fill", "fill", "reviewed", { "fill-color": colour, "fill-opacity": 0.3 }, ["!", isWrong]);
  add("reviewed-halo", "line", "reviewed", { "line-color": DARK, "line-width": 5, "line-opacity": 0.6 });
  add("reviewed-right", "line", "reviewed", { "line-color": colour, "line-width": 2.5 }, ["!", isWrong]);
  const dashes = { "line-color": WRONG, "line-width": 2, "line-dasharray": [2, 1.5] };
  add("reviewed-wrong", "line", "reviewed", dashes, isWrong);
  add("corners", "circle", "corners", {
    "circle-color": "#ffffff",
    "circle-radius": 5,
    "circle-stroke-color": DARK,
    "circle-stroke-width": 1.5,
  });
}

/** Draw what changed among the reviewed objects: drawing all of them anew takes seconds for many. */
export function drawReviewed(map, removed, put, colourOf) {
  const add = put.map((one) => ({
    type: "Feature",
    id: one.id,
    properties: { verdict: one.verdict, colour: colourOf(one.label) },
    geometry: polygon(one.corners.map(squareToLngLat)),
  }));
  map.getSource("reviewed").updateData({ remove: removed, add });
}

/** Draw the windows that were reviewed, and the one that is being looked at. */
export function drawWindows(map, frame, windows, reviewed, current) {
  const shown = new Set([...reviewed, ...(current === null ? [] : [current])]);
  const features = [...shown]
    .filter((number) => number >= 0)
    .map((number) => {
      const [x, y, width, height] = windows[number];
      return {
        type: "Feature",
        properties: { done: reviewed.has(number), current: number === current },
        geometry: { type: "Polygon", coordinates: [frame.ring([x, y, x + width, y + height])] },
      };
    });
  map.getSource("windows").setData(collection(features));
}

/** Draw the corners of a box that can be dragged; none without a box. */
export function drawCorners(map, frame, box) {
  const places = box ? frame.ring(box).slice(0, 4) : [];
  const features = places.map((place, corner) => ({
    type: "Feature",
    properties: { corner },
    geometry: { type: "Point", coordinates: place },
  }));
  map.getSource("corners").setData(collection(features));
}

/** Hide detections that a decision stands for, or show them again. */
export function hideDetections(map, sources, isHidden) {
  if (!map.getSource("objects")) return;
  for (const id of sources) {
    for (const sourceLayer of ["boxes", "dots"]) {
      map.setFeatureState({ source: "objects", sourceLayer, id }, { reviewed: isHidden });
    }
  }
}

function collection(features) {
  return { type: "FeatureCollection", features };
}

function polygon(ring) {
  return { type: "Polygon", coordinates: [[...ring, ring[0]]] };
}
