// Keys that work wherever the focus is, but not while somebody types.

import { element } from "./dom.js";
import { inOrder } from "./order.js";

/** Bind keys to work, and list them in the panel. */
export function bindKeys(bindings) {
  const work = new Map(bindings.flatMap((binding) => binding.keys.map((key) => [key, binding])));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input:not([type=checkbox], [type=range]), select, textarea");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const binding = work.get(nameOf(event));
    if (!binding || (binding.skip && event.target.matches(binding.skip))) return;
    event.preventDefault();
    inOrder(binding.run);
  });
  const rows = document.getElementById("key-rows");
  for (const { keys, text } of bindings.filter((binding) => binding.text)) {
    const names = keys.flatMap((key, n) => [...(n ? [" or "] : []), element("kbd", {}, key)]);
    rows.append(element("tr", {}, element("th", { scope: "row" }, ...names), element("td", {}, text)));
  }
}

/** Name a key as the bindings do, with Caps Lock and on keyboards without Latin letters, too. */
function nameOf({ key, code, shiftKey }) {
  if (key.length > 1) return shiftKey ? `Shift+${key}` : key; // an arrow, not a letter
  const isLatin = key.charCodeAt(0) < 128;
  const letter = isLatin ? /^[a-z]$/i.exec(key)?.[0] : /^Key([A-Z])$/.exec(code)?.[1];
  if (!letter) return key;
  return shiftKey ? letter.toUpperCase() : letter.toLowerCase();
}
