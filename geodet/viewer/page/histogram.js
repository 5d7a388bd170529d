// Histograms, as bars of SVG.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [300, 64];

/** A histogram of counts, drawn into an element. */
export class Histogram {
  constructor(host, label) {
    this.picture = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    this.picture.setAttribute("preserveAspectRatio", "none");
    this.picture.classList.add("histogram");
    this.label = label;
    host.append(this.picture);
  }

  /** Draw counts of bins; those before a share of the width are pale. */
  draw(counts, text, from = 0) {
    const most = Math.max(...counts, 1);
    const step = WIDTH / counts.length;
    const bars = counts.map((count, bin) => {
      const height = count ? Math.max((Math.sqrt(count / most)) * (HEIGHT - 2), 1.5) : 0;
      const place = { x: bin * step + 0.5, y: HEIGHT - height, width: step - 1, height };
      const bar = make("rect", place);
      if ((bin + 1) / counts.length <= from + 1e-9) bar.classList.add("pale");
      return bar;
    });
    const line = make("line", { x1: from * WIDTH, x2: from * WIDTH, y1: 0, y2: HEIGHT });
    this.picture.replaceChildren(...bars, ...(from > 0 ? [line] : []));
    this.picture.setAttribute("aria-label", `${this.label}: ${text}`);
  }
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
