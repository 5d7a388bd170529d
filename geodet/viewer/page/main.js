// Starts the page: asks what is shown, opens the map, and connects the panel with it.

import { Chosen } from "./chosen.js";
import { checkbox, complain } from "./dom.js";
import { Frame } from "./frame.js";
import { bindKeys } from "./keys.js";
import { LayerPanel } from "./layer_panel.js";
import { showPlace, showScale } from "./readout.js";
import { Review } from "./review.js";
import { addObjects, addScene, drawnBy, openMap, sceneTiles, showAll } from "./scene_map.js";
import { ask, reasonOf } from "./server.js";

const STEP = 0.05; // of the score, by key

async function start() {
  const about = await whileBusy("Reading the objects …", ask("about.json"));
  const frame = new Frame(about);
  describe(about);
  const map = openMap(about, frame);
  map.on("error", ({ error }) => reasonOf(error).then(complain, complain));
  await new Promise((resolve) => map.once("load", resolve));
  addScene(map, about, frame);
  if (!about.scene.is_ready) showWhenReady(map).catch(complain);
  for (const layer of about.layers) addObjects(map, layer);
  const panels = about.layers.map((layer, n) => new LayerPanel(map, layer, n === 0));
  document.getElementById("layers").append(...panels.map((panel) => panel.element));
  const chosen = new Chosen(map, panels);
  const review = about.reviews ? new Review(map, about, frame, panels, chosen) : null;
  if (review) document.getElementById("layers").before(review.element);
  const switches = addToggles(map, about);
  showPlace(map, about, frame);
  showScale(map, about, frame);
  foldPanel(map);
  const home = { keys: ["0"], text: "the whole scene", run: () => showAll(map, frame) };
  bindKeys([...keysOf(panels, chosen, switches, review), home, ...(review?.keys() ?? [])]);
  map.once("idle", () => document.body.classList.add("ready"));
  window.geodetMap = map; // for tests, and for the browser's console
}

/** Say what the page waits for, and return what it waited for. */
async function whileBusy(text, work) {
  const busy = document.getElementById("busy");
  busy.textContent = text;
  busy.hidden = false;
  try {
    return await work;
  } finally {
    busy.hidden = true;
  }
}

/** Draw the scene when its overview is read, which takes long where a large scene has none. */
async function showWhenReady(map) {
  await whileBusy("Reading an overview of the scene …", ask("scene/ready"));
  map.getSource("scene").setTiles([sceneTiles("overview")]);
}

function describe(about) {
  const { name, width, height, crs } = about.scene;
  document.title = `${name} – geodet`;
  document.getElementById("title").textContent = name;
  document.getElementById("attribution").textContent = about.base_map && baseMapOf(about);
  const own = about.frame.own_grid;
  const grid = own ? `, in its own pixels: ${own}` : "";
  const size = `${width} × ${height} px`;
  document.getElementById("subtitle").textContent = `${size}${crs ? `, ${crs}` : ""}${grid}`;
}

function baseMapOf(about) {
  return `Base map: ${new URL(about.base_map).host}`;
}

/** Add a switch for each layer; return them by name. */
function addToggles(map, about) {
  const rows = [
    ...about.layers.map((layer) => [layer.name, layer.title, drawnBy(layer.name)]),
    ["scene", "Scene", ["scene"]],
    ...(about.base_map ? [["base", baseMapOf(about), ["base"]]] : []),
  ];
  const host = document.getElementById("toggles");
  const boxes = rows.map(([name, title, ids]) => {
    const show = (on) =>
      ids.forEach((id) => map.setLayoutProperty(id, "visibility", on ? "visible" : "none"));
    // The errors are the same objects; but a window that is done accepts the detections shown in it.
    const isShown = name !== "objects" || about.layers.length === 1 || about.reviews !== null;
    if (!isShown) show(false);
    const row = checkbox(title, isShown, show);
    host.append(row);
    return [name, row.querySelector("input")];
  });
  return new Map(boxes);
}

function foldPanel(map) {
  const button = document.getElementById("fold");
  button.addEventListener("click", () => {
    const isFolded = document.body.classList.toggle("folded");
    button.setAttribute("aria-expanded", String(!isFolded));
    button.textContent = isFolded ? "Show panel" : "Hide panel";
    map.resize();
  });
}

function keysOf(panels, chosen, switches, review) {
  const first = panels[0];
  const named = (name) => panels.find(({ layer }) => layer.name === name);
  const isReviewed = () => review && switches.get("objects")?.checked;
  const usual = () => (isReviewed() ? named("objects") : panels.at(-1));
  const stepped = () => named(chosen.layer) ?? usual();
  const needed = [
    { keys: ["n"], text: "next object by score", run: () => chosen.step(stepped(), 1) },
    { keys: ["p"], text: "the one before", run: () => chosen.step(stepped(), -1) },
    { keys: ["["], text: "lower score", run: () => first.choose(first.at - STEP) },
    { keys: ["]"], text: "higher score", run: () => first.choose(first.at + STEP) },
    { keys: ["o"], text: "objects on or off", run: () => switches.get("objects")?.click() },
  ];
  const errors = { keys: ["e"], text: "errors on or off", run: () => switches.get("errors").click() };
  return [
    ...(panels.length ? needed : []),
    ...(switches.has("errors") ? [errors] : []),
    { keys: ["Escape"], text: "choose nothing", run: () => chosen.clear() },
  ];
}

start().catch(complain);
