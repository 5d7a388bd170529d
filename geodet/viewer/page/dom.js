// Small helpers to build the page.

/** Return a new element with attributes and children; text that is null is left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Return a square in a colour; the colour is no attribute, which the page's policy would refuse. */
export function swatch(colour) {
  const made = element("span", { className: "swatch" });
  made.style.backgroundColor = colour;
  return made;
}

/** Return a checkbox with its text. */
export function checkbox(text, checked, change, ...before) {
  const box = element("input", { type: "checkbox", checked });
  box.addEventListener("change", () => change(box.checked));
  return element("label", { className: "row" }, box, ...before, text);
}

const numbers = new Intl.NumberFormat("en");

/** Return a whole number with separators. */
export function whole(number) {
  return numbers.format(number);
}

const SAID_MS = 50; // after which a text is new to a screen reader, though it is the one before
let saying;

/** Say something to people who do not see the page. */
export function say(text) {
  const region = document.getElementById("said");
  region.textContent = "";
  clearTimeout(saying);
  saying = setTimeout(() => (region.textContent = text), SAID_MS);
}

/** Show an error until the next one, or until it is dismissed. */
export function complain(error) {
  const box = document.getElementById("message");
  const close = element("button", { type: "button", onclick: dismissError }, "Close");
  box.replaceChildren(String(error.message ?? error), close);
  box.hidden = false;
}

/** Hide the error that is shown. */
export function dismissError() {
  document.getElementById("message").hidden = true;
}
