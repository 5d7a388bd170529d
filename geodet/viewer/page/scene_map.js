// The map: the scene, a base map below it, and the layers of objects above.

import { Map as MapLibre, NavigationControl } from "./maplibre/maplibre-gl.mjs";
import { address } from "./server.js";

const TILE = 512;
const DARK = "#0c0e12";
const ZOOMS_BEYOND = 5; // beyond the scene's own pixels

/** Return the map of a scene. */
export function openMap(about, frame) {
  const map = new MapLibre({
    container: "map",
    style: { version: 8, sources: {}, layers: [backdrop(about)] },
    bounds: frame.bounds(),
    fitBoundsOptions: { padding: 20 },
    maxZoom: Math.min(about.frame.native_zoom + ZOOMS_BEYOND, 24),
    renderWorldCopies: false,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    fadeDuration: 0,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "top-left");
  return map;
}

/** Show the whole scene. */
export function showAll(map, frame) {
  map.fitBounds(frame.bounds(), { padding: 20, duration: 0 });
}

function backdrop() {
  return { id: "backdrop", type: "background", paint: { "background-color": "#2b2f36" } };
}

/** Return the address of the scene's tiles; with another word the map loads them again. */
export function sceneTiles(word) {
  return address("scene/{z}/{x}/{y}.png") + (word && `?${word}`);
}

/** Add the base map, if there is one, and the scene. */
export function addScene(map, about, frame) {
  if (about.base_map) {
    map.addSource("base", { type: "raster", tiles: [about.base_map], tileSize: 256, maxzoom: 19 });
    map.addLayer({ id: "base", type: "raster", source: "base" });
  }
  map.addSource("scene", {
    type: "raster",
    tiles: [sceneTiles("")],
    tileSize: TILE,
    maxzoom: about.frame.finest_zoom,
    bounds: about.frame.own_grid ? undefined : frame.bounds(),
  });
  map.addLayer({
    id: "scene",
    type: "raster",
    source: "scene",
    paint: { "raster-fade-duration": 0, "raster-resampling": "linear" },
  });
}

const KINDS = ["cells", "dots", "halos", "boxes", "hits"];

/** Return the names of the map's layers that draw a layer of objects. */
export function drawnBy(name, kinds = KINDS) {
  return kinds.map((kind) => `${name}-${kind}`);
}

/** Add a layer of objects: boxes, dots for small ones, and cells where there are too many. */
export function addObjects(map, layer) {
  map.addSource(layer.name, {
    type: "vector",
    tiles: [objectTiles(layer, 0)],
    maxzoom: layer.finest_zoom,
  });
  const colour = colours(layer);
  const opacity = unlessReviewed(["interpolate", ["linear"], ["get", "s"], 0, 0.7, 1, 1]);
  const sized = ["interpolate", ["linear"], ["ln", ["get", "n"]], 0, 1.6, 3, 3.4, 6, 5.2, 10, 8];
  const add = (kind, type, from, paint) =>
    map.addLayer({
      id: `${layer.name}-${kind}`,
      type,
      source: layer.name,
      "source-layer": from,
      paint,
    });
  const disc = { "circle-color": colour, "circle-stroke-color": DARK, "circle-opacity": opacity };
  add("cells", "circle", "cells", { ...disc, "circle-radius": sized, "circle-stroke-width": 0.6 });
  const dot = { "circle-radius": 3, "circle-stroke-width": 1, "circle-stroke-opacity": unlessReviewed(1) };
  add("dots", "circle", "dots", { ...disc, ...dot });
  add("hits", "fill", "boxes", { "fill-opacity": 0 });
  const halo = { "line-color": DARK, "line-width": 4, "line-opacity": unlessReviewed(0.6) };
  add("halos", "line", "boxes", halo);
  add("boxes", "line", "boxes", { "line-color": colour, "line-width": 2, "line-opacity": opacity });
}

/** Return an opacity that is 0 for a detection that a decision stands for. */
function unlessReviewed(opacity) {
  return ["case", ["boolean", ["feature-state", "reviewed"], false], 0, opacity];
}

function colours(layer) {
  const pairs = layer.classes.flatMap((one, label) => [label, one.colour]);
  return pairs.length ? ["match", ["get", "k"], ...pairs, "#d7d9dd"] : "#d7d9dd";
}

/** Return the address of a layer's tiles, whose cells count objects of at least a score. */
export function objectTiles(layer, at) {
  return address(`${layer.name}/{z}/{x}/{y}.mvt`) + `?at=${at}`;
}

/** Show the objects of at least a score, without some classes. */
export function filterObjects(map, layer, at, hidden) {
  const filter = ["all", [">=", ["get", "s"], at], ["!", ["in", ["get", "k"], ["literal", hidden]]]];
  for (const id of drawnBy(layer.name)) map.setFilter(id, filter);
}

/** Add what is drawn around the chosen object. */
export function addChosen(map) {
  map.addSource("chosen", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  const line = (id, width, colour) =>
    map.addLayer({
      id,
      type: "line",
      source: "chosen",
      paint: { "line-color": colour, "line-width": width, "line-offset": -4 },
    });
  line("chosen-halo", 6, DARK);
  line("chosen-line", 3, "#ffffff");
}

/** Draw a frame around a ring of places; none without one. */
export function drawChosen(map, ring) {
  const geometry = ring && { type: "Polygon", coordinates: [ring] };
  const features = ring ? [{ type: "Feature", properties: {}, geometry }] : [];
  map.getSource("chosen").setData({ type: "FeatureCollection", features });
}
