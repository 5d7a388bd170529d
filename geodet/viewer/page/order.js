// One piece of work after the other, so that each begins with what the one before has left.

import { complain } from "./dom.js";

let last = Promise.resolve();

/** Do work when all that was begun before has ended; what fails is said and holds up nothing. */
export function inOrder(work) {
  last = last.then(work).catch(complain);
}
