// Keys that work wherever the focus is, but not while somebody types.

import { complain, element } from "./dom.js";

/** Bind keys to work, and list them in the panel. */
export function bindKeys(bindings) {
  const work = new Map(bindings.flatMap(({ keys, run }) => keys.map((key) => [key, run])));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input:not([type=checkbox]), select, textarea");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const run = work.get(event.key);
    if (!run) return;
    event.preventDefault();
    Promise.resolve(run()).catch(complain);
  });
  const rows = document.getElementById("key-rows");
  for (const { keys, text } of bindings) {
    const names = keys.flatMap((key, n) => [...(n ? [" or "] : []), element("kbd", {}, key)]);
    rows.append(element("tr", {}, element("th", { scope: "row" }, ...names), element("td", {}, text)));
  }
}
