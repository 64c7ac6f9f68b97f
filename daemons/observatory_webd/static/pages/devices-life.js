/* Having a daemon take or let go of its device. */

import { pathOf, post } from "../kit/api.js";
import { attempt, confirmed, el, note } from "../kit/dom.js";

export class LifeButtons {
  /** `questions` has what is asked before `initialize` and `shutdown`: [question, what follows]. */
  constructor(kind, name, label, questions) {
    const button = (action, text) => el("button", { type: "button", class: "second", on: { click: () => act(action, text) } }, `${text}…`);
    const act = async (action, text) => {
      const [question, ...details] = questions[action];
      if (!(await confirmed(question, { agree: text, details, danger: action === "shutdown" }))) return;
      if ((await attempt(post(pathOf(kind, name, action)))) !== undefined) note(`${label}: ${text} is done`);
    };
    this.initialize = button("initialize", "Initialize");
    this.shutdown = button("shutdown", "Shut down");
    this.element = el("div", { class: "row" }, this.initialize, this.shutdown);
    this.show({ open: true, closed: true }); // until it is known
  }

  /** `open`: it has its device; `closed`: it was told to let go of it. */
  show({ open, closed }) {
    this.initialize.disabled = open;
    this.shutdown.disabled = closed;
  }
}
