// Drags boxes: moves and resizes the chosen one, and draws new ones.

import { drawCorners } from "./review_map.js";
import { drawChosen } from "./scene_map.js";
import { cornersOf, holds, moved, resized, span } from "./shapes.js";

const REACH = 8; // pixels around a corner
const LEAST = 4; // pixels of a drag; a shorter one draws a box of the usual size

/** Turns drags on the map into boxes. */
export class BoxEditor {
  /** Take work for a box of the chosen object, and for a new one. */
  constructor(map, frame, { change, add, usualSide }) {
    this.map = map;
    this.frame = frame;
    this.change = change;
    this.add = add;
    this.usualSide = usualSide;
    this.box = null;
    this.isDrawing = false;
    map.on("mousedown", (event) => this.begin(event));
  }

  /** Let a box be edited; null: none. */
  edit(box) {
    this.box = box;
    drawCorners(this.map, this.frame, box);
  }

  /** Let the next drag draw a box, or not any more. */
  draw(isDrawing) {
    this.isDrawing = isDrawing;
    this.map.getContainer().classList.toggle("drawing", isDrawing);
  }

  begin(event) {
    if (event.originalEvent.button !== 0) return;
    const start = this.frame.toPixels([event.lngLat.lng, event.lngLat.lat]);
    const move = this.isDrawing ? (end) => span(start, end) : this.grip(event.point, start);
    if (!move) return;
    event.preventDefault(); // the map stays where it is
    let box = null;
    let way = 0;
    const { clientX: left, clientY: top } = event.originalEvent;
    const drag = ({ clientX, clientY }) => {
      const [dx, dy] = [clientX - left, clientY - top];
      way = Math.max(way, Math.hypot(dx, dy));
      const { lng, lat } = this.map.unproject([event.point.x + dx, event.point.y + dy]);
      box = move(this.frame.toPixels([lng, lat]));
      drawChosen(this.map, this.frame.ring(box));
      drawCorners(this.map, this.frame, box);
    };
    const end = () => {
      window.removeEventListener("mousemove", drag);
      if (this.isDrawing) this.add(way < LEAST ? this.around(start) : box);
      else if (way >= LEAST) this.change(box);
    };
    // The map has no event of a button that is released over the panel.
    window.addEventListener("mousemove", drag);
    window.addEventListener("mouseup", end, { once: true });
  }

  /** Return how a drag from a point changes the chosen box; null where it does not hold it. */
  grip(point, start) {
    const held = this.box; // another may be chosen before the drag ends
    if (!held) return null;
    const near = [
      [point.x - REACH, point.y - REACH],
      [point.x + REACH, point.y + REACH],
    ];
    const [corner] = this.map.queryRenderedFeatures(near, { layers: ["corners"] });
    if (corner) {
      const fixed = cornersOf(held)[(corner.properties.corner + 2) % 4];
      return (end) => resized(held, fixed, end);
    }
    if (!holds(held, start)) return null;
    return (end) => moved(held, end[0] - start[0], end[1] - start[1]);
  }

  /** Return a box of the usual size around a place. */
  around([x, y]) {
    const half = this.usualSide() / 2;
    return [x - half, y - half, x + half, y + half];
  }

  /** Return a box of the usual size in the middle of the map. */
  middle() {
    const { lng, lat } = this.map.getCenter();
    return this.around(this.frame.toPixels([lng, lat]));
  }
}
