// The review: decisions on objects, each written by the server at once, and undone one by one.

import { BoxEditor } from "./box_editor.js";
import { dismissError, element, say, whole } from "./dom.js";
import { inOrder } from "./order.js";
import { addReviewed, drawReviewed, drawWindows, hideDetections } from "./review_map.js";
import { drawnBy } from "./scene_map.js";
import { tell } from "./server.js";
import { asRequest, grown, movedWithin, shapeOf, turned } from "./shapes.js";

const OTHER = "#ffffff"; // of classes that the detections do not have
const USUAL_SIDE = 16; // pixels of the scene, without any object to go by
const TURN = 5; // degrees by key
const LEAST_MOVE = 5e-4; // pixels of the scene, which are stored with three digits

/** Decides on objects, by buttons, keys and drags. */
export class Review {
  constructor(map, about, frame, panels, chosen) {
    this.map = map;
    this.frame = frame;
    this.chosen = chosen;
    this.panel = panels.find(({ layer }) => layer.name === "objects") ?? null;
    this.isOriented = this.panel?.layer.is_oriented ?? false;
    this.windows = about.reviews.windows;
    this.reasons = about.reviews.reasons; // of windows that geodet suggest chose
    this.objects = new Map();
    this.current = null;
    addReviewed(map);
    this.element = this.build(about.reviews.file);
    this.editor = new BoxEditor(map, frame, {
      change: (shape) => inOrder(() => this.change(asRequest(shape))),
      add: (box) => inOrder(() => this.add(box)),
      usualSide: () => this.usualSide(),
    });
    const isOwn = (panel) => panel === this.panel; // an error has the number of another detection
    chosen.resolve = (panel, object) => (isOwn(panel) && this.ofSource(object)) || object;
    chosen.others = { layer: "reviewed-hits", find: (id) => this.objects.get(id) };
    chosen.listen((object) => this.choose(object));
    this.apply({ ...about.reviews, put: about.reviews.objects, removed: [] });
  }

  build(file) {
    const button = (text, key, work) =>
      element(
        "button",
        { type: "button", ariaKeyShortcuts: key, onclick: () => inOrder(work) },
        text,
        " ",
        element("kbd", { ariaHidden: "true" }, key),
      );
    this.accepting = button("Accept", "a", () => this.judge("accepted"));
    this.rejecting = button("Reject", "x", () => this.judge("rejected"));
    this.deleting = button("Delete", "Delete", () => this.remove());
    this.drawing = button("Draw", "d", async () => this.draw(!this.editor.isDrawing));
    this.turning = button("Turn", "t", () => this.reshape((shape) => turned(shape, TURN)));
    this.turning.hidden = !this.isOriented;
    this.undoing = button("Undo", "u", () => this.undo());
    this.progress = element("p", { className: "fine", id: "windows-done" });
    this.reason = element("p", { className: "fine", id: "window-reason" });
    this.label = element("input", { type: "text", id: "review-class", autocomplete: "off" });
    this.label.setAttribute("list", "review-classes");
    this.name = this.panel?.layer.classes[0]?.name ?? "object";
    this.label.value = this.name;
    this.label.addEventListener("change", () => {
      const typed = this.label.value.trim(); // before an answer that is on its way shows another
      inOrder(() => this.relabel(typed));
    });
    this.names = element("datalist", { id: "review-classes" });
    return element(
      "section",
      { id: "review-panel" },
      element("h2", {}, "Review"),
      element("p", { className: "fine" }, `Each decision is saved to ${file} at once.`),
      element("div", { className: "buttons" }, this.accepting, this.rejecting, this.deleting, this.drawing, this.turning, this.undoing),
      element("label", { className: "row", htmlFor: "review-class" }, "Class", this.label, this.names),
      this.progress,
      this.reason,
      element(
        "div",
        { className: "buttons" },
        button("Window done, next", "w", () => this.finishWindow()),
        button("Next window", "v", async () => this.nextWindow()),
        button("Previous", "b", async () => this.previousWindow()),
        button("Not done", "q", () => this.reopenWindow()),
      ),
    );
  }

  /** Send a request, and show what changed; an error of an earlier one is over then. */
  async act(request) {
    try {
      this.apply(await tell("reviews", request));
    } catch (error) {
      this.restore();
      throw error;
    }
    dismissError();
  }

  /** Show the chosen object and its class as they are, not as they were dragged or typed. */
  restore() {
    this.chosen.outline();
    this.editor.edit(this.object && shapeOf(this.object));
    this.label.value = this.name;
  }

  apply({ removed, put, reviewed, undo }) {
    const shown = new Set(removed.map((id) => this.objects.get(id)?.source ?? null));
    for (const id of removed) this.objects.delete(id);
    for (const one of put) this.objects.set(one.id, withAttributes(one));
    const hidden = new Set(put.map((one) => one.source));
    hideDetections(this.map, [...shown].filter((id) => id !== null && !hidden.has(id)), false);
    hideDetections(this.map, [...hidden].filter((id) => id !== null && !shown.has(id)), true);
    this.reviewed = new Set(reviewed);
    this.undoing.disabled = undo === 0;
    drawReviewed(this.map, removed, put, (name) => this.colourOf(name));
    this.showWindows();
    this.listClasses();
  }

  colourOf(name) {
    return this.panel?.layer.classes.find((one) => one.name === name)?.colour ?? OTHER;
  }

  listClasses() {
    const found = [...this.objects.values()].map((one) => one.label);
    const names = new Set([...(this.panel?.layer.classes.map((one) => one.name) ?? []), ...found]);
    this.names.replaceChildren(...[...names].map((name) => element("option", { value: name })));
  }

  ofSource(object) {
    if (object.verdict) return object;
    return [...this.objects.values()].find((one) => one.source === object.id);
  }

  choose(object) {
    const isOwn = object !== null && this.chosen.layer !== "errors";
    this.object = isOwn ? object : null;
    this.editor.edit(this.object && shapeOf(this.object));
    if (this.object) this.name = object.label;
    const isTyping = document.activeElement === this.label;
    if (this.object && !isTyping) this.label.value = this.name;
    const isDetection = this.object !== null && sourceOf(object) !== null;
    this.accepting.disabled = !isDetection;
    this.rejecting.disabled = !isDetection;
    this.turning.disabled = this.object === null;
    this.deleting.disabled = this.object === null || object.verdict === "rejected";
  }

  /** Accept or reject the chosen detection, and go on to the next without a decision. */
  async judge(verdict) {
    if (!this.object || sourceOf(this.object) === null) return say("Choose a detection first");
    await this.act({ do: "judge", source: sourceOf(this.object), verdict });
    return this.next();
  }

  async next() {
    const found = await this.chosen.seek(this.panel, 1, { undecided: 1 });
    if (found) return this.chosen.visit(this.panel, found);
    this.chosen.clear();
    return say("Every detection that is shown has been judged");
  }

  /** Change the box or the class of the chosen object. */
  async change(what) {
    if (!this.object) return;
    const which = this.object.verdict ? { id: this.object.id } : { source: this.object.id };
    const source = sourceOf(this.object);
    const id = this.object.verdict ? this.object.id : null;
    await this.act({ do: "change", ...which, ...what });
    this.again((one) => (source === null ? one.id === id : one.source === source));
  }

  /** Change the box of the chosen object by a function. */
  async reshape(work) {
    if (!this.object) return;
    const before = shapeOf(this.object);
    const after = work(before);
    const isMoved = after.some((side, n) => Math.abs(side - before[n]) > LEAST_MOVE);
    if (isMoved) await this.change(asRequest(after));
  }

  /** Take the class that was typed, for the chosen object or for those to be drawn. */
  async relabel(typed) {
    if (!typed) {
      this.restore();
      throw new Error("Type the name of a class");
    }
    if (this.object) return this.change({ label: typed });
    this.name = this.label.value = typed;
  }

  /** Add an object, and choose it. */
  async add(box) {
    const known = new Set(this.objects.keys());
    await this.act({ do: "add", box_px: box, label: this.label.value });
    this.again((one) => !known.has(one.id));
  }

  /** Remove an object that was drawn, or reject a detection, whether it was judged or not. */
  async remove() {
    if (!this.object || this.object.verdict === "rejected") return;
    const { verdict, id } = this.object;
    await this.act(verdict ? { do: "delete", id } : { do: "judge", source: id, verdict: "rejected" });
    this.chosen.clear();
  }

  async undo() {
    await this.act({ do: "undo" });
    this.chosen.clear();
    say("The last decision is undone");
  }

  /** Choose a reviewed object anew, since its box or class changed. */
  again(isIt) {
    const found = [...this.objects.values()].find(isIt);
    if (found) this.chosen.choose(this.panel, found);
  }

  draw(isDrawing) {
    this.editor.draw(isDrawing);
    this.drawing.setAttribute("aria-pressed", String(isDrawing));
    say(isDrawing ? "Drag a box, or press Enter for one in the middle of the map" : "Not drawing");
  }

  usualSide() {
    const boxes = [...this.objects.values(), ...(this.object ? [this.object] : [])].map((one) => one.box_px);
    const sides = boxes.map(([x1, y1, x2, y2]) => Math.sqrt((x2 - x1) * (y2 - y1))).sort((a, b) => a - b);
    return sides.length ? sides[sides.length >> 1] : USUAL_SIDE;
  }

  showWindows() {
    drawWindows(this.map, this.frame, this.windows, this.reviewed, this.current);
    const done = [...this.reviewed].filter((number) => number >= 0).length;
    this.progress.textContent = `${whole(done)} of ${whole(this.windows.length)} windows reviewed`;
  }

  /** Go to the next window that was not reviewed. */
  nextWindow() {
    const count = this.windows.length;
    const start = this.current === null ? -1 : this.current;
    for (let step = 1; step <= count; step += 1) {
      const number = (start + step) % count;
      if (!this.reviewed.has(number)) return this.goTo(number);
    }
    return say("Every window is reviewed");
  }

  previousWindow() {
    const count = this.windows.length;
    return this.goTo(((this.current ?? 0) - 1 + count) % count);
  }

  /** Show a window, and choose nothing: what was chosen may lie outside of it. */
  goTo(number) {
    this.current = number;
    this.chosen.clear();
    const [x, y, width, height] = this.windows[number];
    const ring = this.frame.ring([x, y, x + width, y + height]);
    const [lng, lat] = [0, 1].map((n) => ring.map((place) => place[n]));
    const ends = [Math.min(...lng), Math.min(...lat), Math.max(...lng), Math.max(...lat)];
    this.map.fitBounds(ends, { padding: 24, duration: 0 });
    this.showWindows();
    const reason = this.reasons[number] ?? "";
    this.reason.textContent = reason && `This one: ${reason}`;
    say(`Window ${number + 1} of ${this.windows.length}${reason && `: ${reason}`}`);
  }

  /** Whether the layer of the detections is switched off. */
  areHidden() {
    if (this.panel === null) return false;
    return drawnBy(this.panel.layer.name).some((id) => this.map.getLayoutProperty(id, "visibility") === "none");
  }

  /** Mark the window as reviewed: what is shown in it and was not rejected is right. */
  async finishWindow() {
    if (this.current === null) return this.nextWindow();
    if (this.areHidden()) throw new Error("The detections are hidden: show them with o before you accept them");
    const { at, hidden } = this.panel ?? { at: 0, hidden: [] };
    await this.act({ do: "window", number: this.current, at, hidden: [...hidden] });
    return this.nextWindow();
  }

  async reopenWindow() {
    if (this.current === null) return;
    await this.act({ do: "window", number: this.current, reviewed: false });
  }

  /** Return the keys of the review. */
  keys() {
    const { width, height } = this.frame;
    const nudge = (dx, dy) => () => this.reshape((shape) => movedWithin(shape, dx, dy, width, height));
    const grow = (by, across) => () => this.reshape((shape) => grown(shape, by, across));
    const [less, more] = this.isOriented ? ["shorter", "longer"] : ["narrower", "wider"];
    const [low, high] = this.isOriented ? ["narrower", "wider"] : ["lower", "higher"];
    const turn = (degrees) => () => this.reshape((shape) => turned(shape, degrees));
    const turns = [
      { keys: ["t"], text: "turn by five degrees", run: turn(TURN) },
      { keys: ["T"], text: "turn back", run: turn(-TURN) },
    ];
    return [
      { keys: ["a"], text: "accept, and go to the next", run: () => this.judge("accepted") },
      { keys: ["x"], text: "reject, and go to the next", run: () => this.judge("rejected") },
      { keys: ["d"], text: "draw on or off", run: () => this.draw(!this.editor.isDrawing) },
      { keys: ["Enter"], text: "draw in the middle of the map", skip: "button, summary, a", run: async () => this.editor.isDrawing && this.add(this.editor.middle()) },
      { keys: ["Delete", "Backspace"], text: "delete, or reject a detection", run: () => this.remove() },
      { keys: ["u"], text: "undo", run: () => this.undo() },
      { keys: ["Shift+ArrowLeft"], text: "move by a pixel, likewise the other arrows", run: nudge(-1, 0) },
      { keys: ["Shift+ArrowRight"], run: nudge(1, 0) },
      { keys: ["Shift+ArrowUp"], run: nudge(0, -1) },
      { keys: ["Shift+ArrowDown"], run: nudge(0, 1) },
      { keys: [","], text: "smaller by half a pixel on each side", run: grow(-0.5) },
      { keys: ["."], text: "larger by half a pixel on each side", run: grow(0.5) },
      { keys: ["j"], text: `${less} by half a pixel on each side`, run: grow(-0.5, 0) },
      { keys: ["l"], text: `${more} by half a pixel on each side`, run: grow(0.5, 0) },
      { keys: ["k"], text: `${low} by half a pixel on each side`, run: grow(0, -0.5) },
      { keys: ["i"], text: `${high} by half a pixel on each side`, run: grow(0, 0.5) },
      ...(this.isOriented ? turns : []),
      { keys: ["w"], text: "window done, go to the next", run: () => this.finishWindow() },
      { keys: ["v"], text: "next window", run: () => this.nextWindow() },
      { keys: ["b"], text: "window before", run: () => this.previousWindow() },
      { keys: ["q"], text: "window not done", run: () => this.reopenWindow() },
    ];
  }
}

function withAttributes(one) {
  const [, , length, width, angle] = one.oriented_px ?? [];
  const sides = { length_px: length, width_px: width, angle_px: (angle * 180) / Math.PI };
  return { ...one, attributes: { verdict: one.verdict, ...(one.oriented_px ? sides : {}) } };
}

/** Return the number of the detection that an object is or was; null for one that was drawn. */
function sourceOf(object) {
  return object.verdict ? object.source : object.id;
}
