// Where the pixels of the scene lie on the map.

import { cornersOf } from "./shapes.js";

/** Converts pixels of the scene to longitude and latitude, and back. */
export class Frame {
  constructor(about) {
    this.width = about.scene.width;
    this.height = about.scene.height;
    this.mesh = about.frame.mesh;
    this.cells = this.mesh.length - 1;
  }

  /** Return u and v on the square of the map: between the nodes of a mesh they are interpolated. */
  toSquare(x, y) {
    const [i, a] = split((x / this.width) * this.cells, this.cells);
    const [j, b] = split((y / this.height) * this.cells, this.cells);
    const [above, below] = [this.mesh[j], this.mesh[j + 1]];
    return [0, 1].map(
      (n) =>
        (above[i][n] * (1 - a) + above[i + 1][n] * a) * (1 - b) +
        (below[i][n] * (1 - a) + below[i + 1][n] * a) * b,
    );
  }

  toLngLat(x, y) {
    return squareToLngLat(this.toSquare(x, y));
  }

  /** Return column and row of a place, by Newton's method. */
  toPixels(lngLat) {
    const [u, v] = lngLatToSquare(lngLat);
    let [x, y] = [this.width / 2, this.height / 2];
    for (let round = 0; round < 8; round += 1) {
      const at = this.toSquare(x, y);
      const right = this.toSquare(x + 1, y);
      const below = this.toSquare(x, y + 1);
      const [a, b] = [right[0] - at[0], below[0] - at[0]];
      const [c, d] = [right[1] - at[1], below[1] - at[1]];
      const [du, dv] = [u - at[0], v - at[1]];
      const area = a * d - b * c;
      x += (du * d - dv * b) / area;
      y += (dv * a - du * c) / area;
      if (Math.abs(du) + Math.abs(dv) < 1e-12) break;
    }
    return [x, y];
  }

  /** Return the corners of a box, as the ring of a polygon. */
  ring(shape) {
    const corners = cornersOf(shape);
    return [...corners, corners[0]].map(([x, y]) => this.toLngLat(x, y));
  }

  /** Return the west, south, east and north end of the scene. */
  bounds() {
    const edge = [...this.mesh[0], ...this.mesh[this.cells]];
    for (const row of this.mesh) edge.push(row[0], row[this.cells]);
    const places = edge.map(squareToLngLat);
    const [lng, lat] = [places.map((p) => p[0]), places.map((p) => p[1])];
    return [Math.min(...lng), Math.min(...lat), Math.max(...lng), Math.max(...lat)];
  }
}

function split(position, cells) {
  const cell = Math.min(Math.max(Math.floor(position), 0), cells - 1);
  return [cell, position - cell];
}

export function squareToLngLat([u, v]) {
  return [u * 360 - 180, (Math.atan(Math.sinh(Math.PI * (1 - 2 * v))) * 180) / Math.PI];
}

export function lngLatToSquare([lng, lat]) {
  const angle = (lat * Math.PI) / 180;
  return [lng / 360 + 0.5, 0.5 - Math.asinh(Math.tan(angle)) / (2 * Math.PI)];
}
