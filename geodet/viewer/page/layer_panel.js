// The part of the panel that belongs to a layer: score, classes, histograms, one after the other.

import { checkbox, complain, element, swatch, whole } from "./dom.js";
import { Histogram } from "./histogram.js";
import { filterObjects, objectTiles } from "./scene_map.js";
import { lngLatToSquare } from "./frame.js";
import { ask, latest } from "./server.js";

const SETTLED_MS = 250; // without a change of the slider, after which cells are counted again

/** Controls of one layer of objects. */
export class LayerPanel {
  constructor(map, layer, isFirst) {
    this.map = map;
    this.layer = layer;
    this.hidden = new Set();
    this.at = 0;
    this.count = latest(
      () => ask(`${layer.name}/count`, this.query({ view: this.view() })),
      (found) => this.showCounts(found),
    );
    this.element = this.build(isFirst);
    map.on("moveend", () => this.recount());
    this.drawScores();
    this.recount();
  }

  /** Return what the server has to know of the threshold and the classes. */
  query(more = {}) {
    return { at: this.at, hidden: [...this.hidden].join(","), ...more };
  }

  view() {
    const bounds = this.map.getBounds();
    const [west, north] = lngLatToSquare([bounds.getWest(), bounds.getNorth()]);
    const [east, south] = lngLatToSquare([bounds.getEast(), bounds.getSouth()]);
    return [west, north, east, south].join(",");
  }

  build(isFirst) {
    const { name, title, classes } = this.layer;
    const id = `${name}-score`;
    this.summary = element("p", { className: "count", id: `${name}-count` });
    this.inView = element("p", { className: "fine" });
    this.slider = element("input", { type: "range", id, min: 0, max: 1, step: 0.01, value: 0 });
    this.number = element("input", { type: "number", min: 0, max: 1, step: 0.01, value: 0 });
    this.number.setAttribute("aria-label", `Lowest score of ${title.toLowerCase()}`);
    for (const input of [this.slider, this.number]) {
      input.addEventListener("input", () => this.choose(Number(input.value)));
    }
    const scores = element("figure", {});
    this.scores = new Histogram(scores, "Scores");
    const sizes = element("figure", {});
    this.sizes = new Histogram(sizes, "Sizes");
    this.sizeText = element("figcaption", {});
    sizes.append(this.sizeText);
    this.counters = classes.map(() => element("span", { className: "number" }));
    const rows = classes.map((one, label) => {
      const row = checkbox(one.name, true, (on) => this.toggle(label, on), swatch(one.colour));
      row.append(this.counters[label]);
      return row;
    });
    return element(
      "section",
      { id: `${name}-panel` },
      element("h2", {}, title),
      this.summary,
      this.inView,
      element(
        "div",
        { hidden: !this.layer.has_scores },
        element("label", { htmlFor: id, className: "caption" }, "Lowest score"),
        element("div", { className: "slider" }, this.slider, this.number),
        scores,
      ),
      element("fieldset", {}, element("legend", {}, name === "errors" ? "Kinds" : "Classes"), ...rows),
      element("details", { open: isFirst }, element("summary", {}, "Sizes"), sizes),
    );
  }

  /** Choose the lowest score; the map changes at once. */
  choose(score) {
    this.at = Math.min(Math.max(Math.round(score * 1000) / 1000, 0), 1);
    this.slider.value = this.at;
    if (document.activeElement !== this.number) this.number.value = this.at;
    this.slider.setAttribute("aria-valuetext", this.at.toFixed(2));
    this.filter();
    this.drawScores();
    this.recount();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.recountCells(), SETTLED_MS);
  }

  toggle(label, isShown) {
    if (isShown) this.hidden.delete(label);
    else this.hidden.add(label);
    this.filter();
    this.drawScores();
    this.recount();
  }

  filter() {
    filterObjects(this.map, this.layer, this.at, [...this.hidden]);
  }

  recountCells() {
    const drawn = this.map.queryRenderedFeatures({ layers: [`${this.layer.name}-cells`] });
    if (drawn.length) this.map.getSource(this.layer.name).setTiles([objectTiles(this.layer, this.at)]);
  }

  recount() {
    this.count().catch(complain);
  }

  showCounts(found) {
    if (!found) return;
    const shown = (counts) =>
      counts.reduce((sum, count, label) => sum + (this.hidden.has(label) ? 0 : count), 0);
    const total = shown(found.classes);
    this.summary.textContent = `${whole(total)} of ${whole(this.layer.count)}`;
    this.inView.textContent = `${whole(shown(found.view))} in view${this.thinned()}`;
    found.classes.forEach((count, label) => (this.counters[label].textContent = whole(count)));
    const unit = this.layer.size_unit;
    const largest = this.layer.largest_size;
    this.sizeText.textContent = `0 to ${largest.toPrecision(3)} ${unit}, the side of a square as large`;
    this.sizes.draw(found.sizes, `${whole(total)} objects, ${this.sizeText.textContent}`);
  }

  thinned() {
    const cells = this.map.queryRenderedFeatures({ layers: [`${this.layer.name}-cells`] });
    return cells.length ? ", a dot for each cell of the map: zoom in for each object" : "";
  }

  drawScores() {
    const bins = this.layer.scores[0]?.map(() => 0) ?? [];
    this.layer.scores.forEach((counts, label) => {
      if (!this.hidden.has(label)) counts.forEach((count, bin) => (bins[bin] += count));
    });
    this.scores.draw(bins, `lowest shown ${this.at.toFixed(2)}`, this.at);
  }
}
