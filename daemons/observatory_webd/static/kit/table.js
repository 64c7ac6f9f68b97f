/* A table that follows its data: rows stay where they are, so nothing is lost that somebody types or selects in them. */

import { el } from "./dom.js";
import { say } from "./poll.js";

/**
 * label: what the table is. columns: [{ title, number, text, tone, make, refresh }]: `text(item)` is what a cell says, `tone(item)`
 * a class for it ("good", "warn", "bad" or null); or `make(latest)` makes a cell's content once (`latest()` is the row's item), and
 * `refresh(item, cell)` changes it. keyOf(item) tells rows apart. empty: what is said when there is nothing.
 *
 * Answers { element, update(items) }. On a phone each row is a card (kit/table.css).
 */
export function liveTable({ label, columns, keyOf, empty }) {
  const body = el("tbody", { role: "rowgroup" });
  const heads = columns.map((column) => el("th", { scope: "col", role: "columnheader", class: column.number ? "number" : null }, column.title));
  const table = el("table", { class: "cards", role: "table", "aria-label": label, hidden: true },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), body);
  const nothing = el("p", { class: "hint" }, "Not read yet.");
  const rows = new Map();

  function make(item) {
    const row = { item };
    row.cells = columns.map((column) => {
      const cell = el("td", { role: "cell", class: column.number ? "number" : null, dataset: { title: column.title } });
      if (column.make) cell.append(...[column.make(() => row.item)].flat());
      return cell;
    });
    row.element = el("tr", { role: "row" }, row.cells);
    return row;
  }

  function fill(row, item) {
    row.item = item;
    columns.forEach((column, number) => {
      const cell = row.cells[number];
      if (column.text) say(cell, column.text(item));
      if (column.tone) cell.className = [column.number ? "number" : "", column.tone(item) ?? ""].join(" ").trim();
      column.refresh?.(item, cell);
    });
  }

  function update(items) {
    const kept = new Set(items.map(keyOf));
    for (const [key, row] of rows) {
      if (kept.has(key)) continue;
      row.element.remove();
      rows.delete(key);
    }
    let place = body.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      if (!rows.has(key)) rows.set(key, make(item));
      const row = rows.get(key);
      fill(row, item);
      if (row.element === place) place = place.nextElementSibling;
      else body.insertBefore(row.element, place);
    }
    table.hidden = items.length === 0;
    nothing.hidden = items.length > 0;
    say(nothing, empty);
  }

  return { element: el("div", {}, table, nothing), update };
}
