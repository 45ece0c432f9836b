"use strict";
document.documentElement.classList.add("js");
const start = (table) => {
  const rows = Array.from(table.tBodies);
  const at = table.id.slice(0, -"package-table".length);
  const find = (id) => document.getElementById(at + id);
  const text = find("f-text"), verdict = find("f-verdict"), platform = find("f-platform");
  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const filter = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const data = row.dataset;
      const fits = wanted.every((word) => words.get(row).includes(word))
        && (!verdict.value || (verdict.value === "blocks" ? data.blocks === "yes" : [data.verdict, data.state].includes(verdict.value)))
        && (!platform || !platform.value || data.platform.split(" ").includes(platform.value));
      row.hidden = !fits;
      shown += fits;
    }
    find("f-count").value = shown + " of " + rows.length;
    find("f-none").hidden = shown > 0;
  };

  const numeric = new Set(["rank", "modules"]);
  const compare = (key) => (a, b) => {
    const order = numeric.has(key)
      ? Number(a.dataset[key]) - Number(b.dataset[key])
      : a.dataset[key].localeCompare(b.dataset[key]);
    return order || a.dataset.name.localeCompare(b.dataset.name);
  };
  const sort = (head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    rows.sort(compare(head.dataset.sort));
    if (down) rows.reverse();
    table.append(...rows);
  };
  for (const head of table.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }

  const open = (row, wanted) => {
    row.classList.toggle("open", wanted);
    row.querySelector(".toggle").setAttribute("aria-expanded", String(wanted));
  };
  for (const row of rows) {
    const toggle = row.querySelector(".toggle");
    toggle.hidden = false;
    toggle.addEventListener("click", () => open(row, !row.classList.contains("open")));
  }
  const all = find("f-open");
  all.addEventListener("click", () => {
    const wanted = all.getAttribute("aria-expanded") === "false";
    all.setAttribute("aria-expanded", String(wanted));
    all.textContent = wanted ? "Close all" : "Open all";
    rows.forEach((row) => open(row, wanted));
  });

  for (const link of (table.closest(".target") ?? document).querySelectorAll(".legend a")) {
    link.addEventListener("click", () => {
      text.value = "";
      if (platform) platform.value = "";
      verdict.value = link.dataset.verdict;
      filter();
    });
  }
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const field of [text, verdict, platform]) {
    for (const change of ["input", "change"]) field?.addEventListener(change, filter);
  }
  find("filters").hidden = false;
  filter();
};
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.packages").forEach(start);

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));
});
