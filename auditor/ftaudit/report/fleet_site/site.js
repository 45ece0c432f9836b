"use strict";
document.documentElement.classList.add("js");
// A table has its rows as data, and draws those that are looked at: ten thousand rows filter and sort at once.
const STEP = 100;
const SVG = "http://www.w3.org/2000/svg";
const VERDICTS = ["ready", "pure", "fallback", "unknown", "reenables-gil", "source-only", "unavailable", "broken"];
const STATES = ["blocked", "unsure", "failed", "free"];
const collator = new Intl.Collator("en", { numeric: true });

const make = (name, text, className) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};

const fill = {
  link: (cell, row, at) => {
    const link = make("a", row[at]);
    link.href = row[0];
    cell.append(link);
  },
  verdict: (cell, row, at) => {
    const known = VERDICTS.includes(row[at]);
    const badge = make("span", row[at], known ? "badge v-" + row[at] : "badge");
    if (known) {
      const icon = document.createElementNS(SVG, "svg");
      const use = document.createElementNS(SVG, "use");
      for (const [key, value] of [["class", "icon"], ["width", "14"], ["height", "14"], ["aria-hidden", "true"]]) icon.setAttribute(key, value);
      use.setAttribute("href", "#i-" + row[at]);
      icon.append(use);
      badge.prepend(icon);
    }
    cell.append(badge);
  },
  state: (cell, row, at) => cell.append(make("span", row[at], STATES.includes(row[at]) ? "badge e-" + row[at] : "badge")),
  number: (cell, row, at) => { cell.textContent = row[at].toLocaleString("en"); cell.className = "number"; },
  text: (cell, row, at) => { cell.textContent = row[at]; },
};

const start = (table) => {
  const rows = JSON.parse(document.getElementById(table.id + "-data").textContent);
  const words = rows.map((row) => row.slice(1).join("\n").toLowerCase());
  const heads = Array.from(table.tHead.rows[0].cells, (head) => ({
    head, at: Number(head.dataset.at), kind: head.dataset.kind, title: head.textContent,
  }));
  const form = document.querySelector(`form[data-table="${table.id}"]`);
  const text = form.querySelector(".f-text"), count = form.querySelector(".f-count");
  const choices = Array.from(form.querySelectorAll(".f-choice"));
  const none = document.getElementById(table.id + "-none"), more = document.getElementById(table.id + "-more");
  let order = rows.map((_, number) => number), found = order, drawn = 0;

  const draw = () => {
    const part = document.createDocumentFragment();
    for (const number of found.slice(drawn, drawn + STEP)) {
      const line = make("tr");
      for (const { at, kind, title } of heads) {
        const cell = make("td");
        fill[kind](cell, rows[number], at);
        if (kind === "number" || kind === "text") cell.dataset.label = title;
        line.append(cell);
      }
      part.append(line);
    }
    table.tBodies[0].append(part);
    drawn = Math.min(found.length, drawn + STEP);
    more.hidden = drawn >= found.length;
    more.textContent = "Show more: " + (found.length - drawn).toLocaleString("en") + " are left";
  };
  const filter = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const tests = choices.filter((choice) => choice.value).map((choice) => {
      const any = choice.selectedOptions[0].dataset.any;
      return [Number(choice.dataset.at), new Set(any ? any.split(" ") : [choice.value])];
    });
    found = order.filter((number) =>
      tests.every(([at, of]) => of.has(rows[number][at])) && wanted.every((word) => words[number].includes(word)));
    table.tBodies[0].replaceChildren();
    drawn = 0;
    count.value = found.length.toLocaleString("en") + " of " + rows.length.toLocaleString("en");
    none.hidden = found.length > 0;
    draw();
  };
  const compare = {
    number: (at) => (one, other) => rows[one][at] - rows[other][at],
    verdict: (at) => (one, other) => VERDICTS.indexOf(rows[other][at]) - VERDICTS.indexOf(rows[one][at]),
    state: (at) => (one, other) => STATES.indexOf(rows[one][at]) - STATES.indexOf(rows[other][at]),
    text: (at) => (one, other) => collator.compare(rows[one][at], rows[other][at]),
  };
  compare.link = compare.text;
  const sort = ({ head, at, kind }, direction) => {
    for (const other of heads) other.head.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    const by = compare[kind](at), sign = direction === "descending" ? -1 : 1;
    order.sort((one, other) => sign * by(one, other) || collator.compare(rows[one][1], rows[other][1]));
    filter();
  };
  for (const each of heads) {
    const button = make("button");
    button.type = "button";
    button.append(...each.head.childNodes);
    button.addEventListener("click", () => {
      const last = each.head.getAttribute("aria-sort");
      const first = each.kind === "number" ? "descending" : "ascending";
      sort(each, last === null ? first : last === "ascending" ? "descending" : "ascending");
    });
    each.head.append(button);
  }

  const follow = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    for (const choice of choices) {
      const value = wanted.get(choice.dataset.key);
      if (value !== null && Array.from(choice.options).some((option) => option.value === value)) choice.value = value;
    }
    filter();
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  text.addEventListener("input", filter);
  for (const choice of choices) choice.addEventListener("change", filter);
  addEventListener("hashchange", follow);
  more.addEventListener("click", draw);
  new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting) && !more.hidden) draw(); }, { rootMargin: "600px" }).observe(more);
  form.hidden = table.hidden = false;
  const sorted = heads.find(({ head }) => head.dataset.sorted) ?? heads[0];
  sort(sorted, sorted.head.dataset.sorted || "ascending");
  follow();
};
document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("table.fleet").forEach(start));
