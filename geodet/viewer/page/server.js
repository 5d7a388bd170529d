// Asks the server for what the page shows.

const base = new URL(".", document.baseURI).href;
const GONE =
  "geodet view no longer runs, or cannot be reached. What was decided before is saved: " +
  "start the command again, and open the new address.";

/** Return the whole address of something that the server has. */
export function address(name, query = {}) {
  const text = new URLSearchParams(query).toString();
  return base + name + (text ? `?${text}` : "");
}

/** Return an answer in JSON; null where the server has nothing. */
export async function ask(name, query = {}) {
  return read(await reach(address(name, query)));
}

/** Send a value, and return the answer. */
export async function tell(name, value) {
  const headers = { "Content-Type": "application/json" };
  return read(await reach(address(name), { method: "POST", headers, body: JSON.stringify(value) }));
}

/** Return what is said of a tile that the map could not load. */
export async function reasonOf(error) {
  if (error.status === 0 && error.url.startsWith(base)) return GONE;
  const text = error.body ? await error.body.text() : "";
  return text.startsWith("{") ? said(JSON.parse(text)) : error.message;
}

async function reach(...request) {
  try {
    return await fetch(...request);
  } catch (error) {
    throw new Error(GONE, { cause: error });
  }
}

async function read(answer) {
  if (answer.status === 204) return null;
  const isJson = answer.headers.get("Content-Type") === "application/json";
  const content = isJson ? await answer.json() : { error: await answer.text(), hint: "" };
  if (!answer.ok) throw new Error(said(content));
  return content;
}

function said({ error, hint }) {
  return [error, hint].filter(Boolean).join(" – ");
}

/** Return a function that asks at most once at a time, and drops answers that came too late. */
export function latest(work, use) {
  let running = false;
  let waiting = null;
  return async function run(...given) {
    if (running) {
      waiting = given;
      return;
    }
    running = true;
    try {
      const found = await work(...given);
      if (!waiting) use(found);
    } finally {
      running = false;
      if (waiting) {
        const next = waiting;
        waiting = null;
        run(...next);
      }
    }
  };
}
