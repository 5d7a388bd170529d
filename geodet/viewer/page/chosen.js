// The object that was clicked or stepped to: its frame on the map and its attributes.

import { aimedAt, smallest } from "./aim.js";
import { element, say } from "./dom.js";
import { squareToLngLat } from "./frame.js";
import { inOrder } from "./order.js";
import { addChosen, drawChosen, drawnBy } from "./scene_map.js";
import { ask } from "./server.js";

/** Chooses objects of all layers. */
export class Chosen {
  constructor(map, panels) {
    this.map = map;
    this.panels = panels;
    this.card = document.getElementById("card");
    this.layer = null;
    this.object = null;
    this.listeners = [];
    this.resolve = (_panel, object) => object;
    this.others = null; // a layer of the map with objects of another kind, and how to find them
    addChosen(map);
    map.on("click", ({ point }) => {
      const clicked = this.clickedAt(point); // before other work moves the map
      inOrder(() => this.take(clicked));
    });
    for (const panel of panels) this.showPointer(panel.layer.name);
  }

  /** Call a function whenever another object is chosen, or none. */
  listen(callback) {
    this.listeners.push(callback);
  }

  showPointer(name) {
    const style = this.map.getCanvas().style;
    for (const id of drawnBy(name, ["cells", "dots", "hits"])) {
      this.map.on("mouseenter", id, () => (style.cursor = "pointer"));
      this.map.on("mouseleave", id, () => (style.cursor = ""));
    }
  }

  /** Return the feature that a click at a point of the map chooses; null if there is none. */
  clickedAt(point) {
    const layers = this.panels.flatMap(({ layer }) => drawnBy(layer.name, ["cells", "dots", "hits"]));
    if (this.others) layers.push(this.others.layer);
    const found = aimedAt(this.map, point, layers);
    const reviewed = this.others ? found.filter(({ source }) => source !== "errors") : [];
    const among = reviewed.length ? reviewed : found; // an error has no decision of its own
    return among.length ? smallest(this.map, point, among) : null;
  }

  /** Choose the object of a feature; nothing without one. */
  async take(best) {
    if (!best) return this.clear();
    if (best.layer.id === this.others?.layer) {
      const object = this.others.find(best.id); // gone if it was deleted meanwhile
      return object ? this.choose(this.panels[0], object) : this.clear();
    }
    const panel = this.panels.find(({ layer }) => layer.name === best.source);
    const object = this.resolve(panel, await ask(`${best.source}/${best.id}`));
    return this.choose(panel, object, best.properties);
  }

  /** Go to the next object by falling score, or to the one before. */
  async step(panel, by) {
    const object = await this.seek(panel, by);
    if (!object) return say("There is no such object");
    return this.visit(panel, object);
  }

  /** Find the next object, of all or of some, and go on from it the next time. */
  async seek(panel, by, which = {}) {
    const name = panel.layer.name;
    const from = this.from?.layer === name ? { from: this.from.id } : {};
    const object = await ask(`${name}/step`, panel.query({ by, ...from, ...which }));
    if (object) this.from = { layer: name, id: object.id };
    return object;
  }

  /** Choose an object, and move the map to it. */
  visit(panel, object) {
    const found = this.resolve(panel, object);
    this.choose(panel, found, { rank: object.rank, of: object.of });
    this.approach(found);
  }

  /** Move the map to an object, near enough to see it. */
  approach(object) {
    const places = object.corners.map(squareToLngLat);
    const centre = [0, 1].map((n) => places.reduce((sum, place) => sum + place[n], 0) / places.length);
    const longest = Math.max(
      ...[0, 1].map((n) => {
        const values = object.corners.map((corner) => corner[n]);
        return Math.max(...values) - Math.min(...values);
      }),
    );
    const zoom = Math.min(Math.log2(70 / 512 / Math.max(longest, 1e-12)), this.map.getMaxZoom() - 1);
    this.map.jumpTo({ center: centre, zoom: Math.max(zoom, 0) });
  }

  /** Choose an object: the strongest of n in a cell, or the one of a rank among those shown. */
  choose(panel, object, { n, rank, of } = {}) {
    this.layer = panel?.layer.name ?? null;
    const id = object.verdict ? object.source : object.id;
    if (id !== null && panel) this.from = { layer: panel.layer.name, id };
    this.object = object;
    this.outline();
    this.fill(panel, object, n);
    const said = [
      object.label,
      object.verdict,
      object.score === null ? "" : `score ${object.score.toFixed(2)}`,
      n > 1 ? `the strongest of ${n} here` : "",
      rank ? `${rank} of ${of}` : "",
    ];
    say(said.filter(Boolean).join(", "));
    this.tell();
  }

  clear() {
    this.layer = null;
    this.object = null;
    this.outline();
    const hadFocus = this.card.contains(document.activeElement);
    this.card.hidden = true;
    if (hadFocus) this.map.getCanvas().focus();
    this.tell();
  }

  /** Draw the frame around the chosen object; none without one. */
  outline() {
    const ring = this.object?.corners.map(squareToLngLat);
    drawChosen(this.map, ring ? [...ring, ring[0]] : null);
  }

  tell() {
    for (const callback of this.listeners) callback(this.object, this.layer);
  }

  fill(panel, object, count) {
    const scored = object.score === null ? null : (panel?.layer.score_name ?? "score");
    const rows = [
      ...(scored === null ? [] : [[scored, object.score.toFixed(3)]]),
      ["pixels", object.box_px.map((side) => side.toFixed(1)).join(", ")],
      ...Object.entries(object.attributes).filter(([key]) => key !== scored && !isPixels(key)),
    ];
    const list = rows.flatMap(([key, value]) => [
      element("dt", {}, key),
      element("dd", {}, value === null ? "–" : plain(value)),
    ]);
    const note = count > 1 ? `the strongest of ${count} objects here: zoom in for the others` : "";
    this.renew(
      element("h2", {}, object.label),
      note ? element("p", { className: "fine" }, note) : "",
      element("dl", {}, ...list),
      element(
        "div",
        { className: "buttons" },
        ...(panel
          ? [
              this.button("Previous", () => this.step(panel, -1)),
              this.button("Next", () => this.step(panel, 1)),
            ]
          : []),
        this.button("Close", async () => this.clear()),
      ),
    );
    this.card.hidden = false;
  }

  /** Replace what the card shows; the button of the same name has the focus again. */
  renew(...children) {
    const focused = document.activeElement;
    const name = this.card.contains(focused) ? focused.textContent : null;
    this.card.replaceChildren(...children);
    const buttons = [...this.card.querySelectorAll("button")];
    buttons.find((button) => button.textContent === name)?.focus();
  }

  button(text, work) {
    return element("button", { type: "button", onclick: () => inOrder(work) }, text);
  }
}

function isPixels(key) {
  return /^[xy][12]_px$/.test(key);
}

/** Return a value as text: a fraction to six digits, but never without its digits before the point. */
function plain(value) {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return String(Number(Math.abs(value) < 1e5 ? value.toPrecision(6) : value.toFixed(2)));
}
