"use strict";
// Tables are sorted by their headings and filtered by words. Without this script they are complete.

function valueOf(row, column) {
  const text = row.cells[column].textContent.trim();
  return text === "-" ? "" : text; // a missing value
}

function compare(a, b) {
  const x = Number(a), y = Number(b);
  if (Number.isFinite(x) && Number.isFinite(y)) return x - y;
  if (Number.isFinite(x) !== Number.isFinite(y)) return Number.isFinite(x) ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}

function sortBy(table, heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = table.tBodies[0], column = heading.cellIndex;
  const rows = Array.from(body.rows).map((row) => [valueOf(row, column), row]);
  rows.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // missing values are last
    return descending ? compare(b, a) : compare(a, b);
  });
  body.append(...rows.map(([, row]) => row));
}

function filter(table, words, status) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  status.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
}

// Columns with texts are flush left.
for (const table of document.querySelectorAll("table")) {
  for (const { cellIndex } of table.tHead.rows[0].cells) {
    const rows = Array.from(table.tBodies[0].rows);
    if (rows.every((row) => Number.isFinite(Number(valueOf(row, cellIndex))))) continue;
    for (const row of table.rows) row.cells[cellIndex].classList.add("text");
  }
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(table, heading));
    heading.append(button);
    if (!heading.hasAttribute("aria-sort")) heading.setAttribute("aria-sort", "none");
  }
}

for (const bar of document.querySelectorAll(".filter")) {
  const table = document.getElementById(bar.dataset.table);
  const input = bar.querySelector("input"), status = bar.querySelector("[role=status]");
  input.addEventListener("input", () => filter(table, input.value, status));
  bar.hidden = false;
}

for (const button of document.querySelectorAll(".code button")) {
  const code = button.parentElement.querySelector("code");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // no permission: the code is selected to be copied
      button.textContent = "Selected";
    }
  });
  button.hidden = false;
}
