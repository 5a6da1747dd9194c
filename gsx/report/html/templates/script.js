"use strict";
// Everything that comes out of a result is set as text: nothing here parses markup.
const root = document.documentElement;
root.classList.add("scripts");

// -------------------------------------------------------------------------------------------------------------- light and dark
const stored = {
  get() { try { return localStorage.getItem("gsx-theme"); } catch { return null; } },
  set(value) { try { localStorage.setItem("gsx-theme", value); } catch { /* a browser that keeps nothing */ } },
};
if (["dark", "light"].includes(stored.get())) root.dataset.theme = stored.get();
const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function themeButton() {
  const button = document.getElementById("theme");
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored.set(root.dataset.theme);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

const say = (text) => { document.getElementById("said").textContent = text; };

// -------------------------------------------------------------------------------------------------------------------- sorting
// A heading sorts upwards, then downwards, then back to the order of the report. What has no value comes last, both ways.
function sortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  const collator = new Intl.Collator("en", { numeric: true });
  headings.forEach((heading, column) => heading.firstElementChild.addEventListener("click", () => {
    const next = { none: "ascending", ascending: "descending", descending: "none" }[heading.ariaSort ?? "none"];
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    let rows = original;
    if (next !== "none") {
      heading.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const numeric = "numeric" in heading.dataset;
      const keyed = original.map((row) => {
        const cell = row.cells[column];
        return [numeric ? parseFloat(cell.dataset.v) : cell.textContent.trim(), row];
      });
      const absent = (key) => (numeric ? Number.isNaN(key) : key === "");
      const compare = numeric ? (a, b) => a - b : collator.compare;
      keyed.sort(([a], [b]) => absent(a) - absent(b) || (absent(a) ? 0 : sign * compare(a, b)));
      rows = keyed.map(([, row]) => row);
    }
    body.append(...rows);
    say(next === "none" ? "in the order of the report" : `sorted by ${heading.textContent}, ${next}`);
  }));
}

// ------------------------------------------------------------------------------------------------------------------ filtering
function filter(form) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const selects = [...form.querySelectorAll("select")];
  const cards = [...document.querySelectorAll(`button.card[data-form="${form.id}"]`)];
  const count = form.querySelector("output");
  const selectOf = (card) => selects.find((select) => select.dataset.key === card.dataset.filter);
  const update = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = selects.filter((select) => select.value);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !(chosen.every((select) => row.dataset[select.dataset.key] === select.value) && words.every((word) => texts[i].includes(word)));
      shown += !row.hidden;
    });
    const text = `${shown} of ${rows.length} ${form.dataset.what}`;
    if (count.textContent !== text) count.textContent = text;
    for (const card of cards) card.setAttribute("aria-pressed", String(selectOf(card).value === card.dataset.value));
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  for (const card of cards) {
    card.addEventListener("click", () => {
      const select = selectOf(card);
      select.value = select.value === card.dataset.value ? "" : card.dataset.value;
      update();
    });
  }
  update();  // a browser may have kept what was typed before a reload
}

// --------------------------------------------------------------------------------------------- the page of one run or training
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function curves({ title, width, height, lines, labels }) {
  const drawn = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const svg = drawn("svg", { class: "curves", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  for (const d of lines) svg.append(drawn("path", { d }));
  for (const [x, y, anchor, text] of labels) svg.append(drawn("text", { x, y, "text-anchor": anchor }, text));
  return element("figure", {}, element("figcaption", {}, title), svg);
}

function panel(section) {
  const box = element("section", { class: "panel" }, element("h3", {}, section.title));
  if (section.pairs) {
    const shown = (value) => (Array.isArray(value) ? element("a", { href: `#${value[1]}` }, value[0]) : value);
    box.append(element("dl", { class: "pairs" }, ...section.pairs.flatMap(([key, value]) => [element("dt", {}, key), element("dd", {}, shown(value))])));
  } else if (section.head) {
    const cell = (tag, text, i) => element(tag, i ? { class: "number" } : {}, text);
    const head = element("tr", {}, ...section.head.map((text, i) => cell("th", text, i)));
    const rows = section.rows.map((row) => element("tr", {}, ...row.map((text, i) => cell("td", text, i))));
    const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
    box.append(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": section.title }, table));
    box.classList.toggle("wide", section.head.length > 3);
  }
  for (const drawing of section.curves ?? []) box.append(curves(drawing));
  if (section.curves) box.classList.add("wide");
  if (section.text) box.append(element("p", {}, section.text));
  for (const code of section.code ?? []) {
    const line = element("div", { class: "command" }, element("code", {}, code));
    if (navigator.clipboard) {
      const copy = element("button", { type: "button", class: "copy", "aria-label": `Copy: ${code}` }, "Copy");
      copy.addEventListener("click", () => navigator.clipboard.writeText(code).then(() => say("copied"), () => say("not copied")));
      line.append(copy);
    }
    box.append(line);
    box.classList.add("wide");
  }
  return box;
}

function detailPages() {
  const pages = new Map(Object.entries(JSON.parse(document.getElementById("data").textContent)));
  const main = document.getElementById("main");
  const page = document.getElementById("run");
  const rowOf = (id) => document.querySelector(`table.sortable a[href="#${id}"]`).closest("tr");
  const home = document.title;
  let last = null;

  // The neighbours are those of the table as it is sorted and filtered now.
  const neighbour = (row, step) => {
    do row = row?.[step]; while (row?.hidden);
    return row?.querySelector("a").hash;
  };
  const show = (id) => {
    const { title, lead, sections } = pages.get(id);
    const row = rowOf(id);
    const all = row.closest("main > section").id;  // runs or trainings
    const ways = element("nav", { "aria-label": `Other ${all}` }, element("a", { href: `#${all}` }, `All ${all}`));
    for (const [text, step] of [["Previous", "previousElementSibling"], ["Next", "nextElementSibling"]]) {
      const hash = neighbour(row, step);
      if (hash) ways.append(element("a", { href: hash }, text));
    }
    const badges = [...row.querySelectorAll(".badge")].map((badge) => badge.cloneNode(true));
    const head = element("div", { class: "run-head" }, element("h1", {}, title), ways);
    page.replaceChildren(head, element("p", { class: "lead" }, `${lead} `, ...badges), element("div", { class: "sections" }, ...sections.map(panel)));
    document.title = [title, lead].filter(Boolean).join(", ");
  };
  const route = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const isPage = pages.has(id);
    main.hidden = isPage;
    page.hidden = !isPage;
    if (isPage) {
      show(id);
      last = id;
      scrollTo(0, 0);
      page.focus({ preventScroll: true });
    } else if (last) {
      page.replaceChildren();
      document.title = home;
      const row = rowOf(last);
      if (id === "" || id === row.closest("main > section").id) row.querySelector("a").focus();
      else document.getElementById(id)?.scrollIntoView();
      last = null;
    }
  };
  addEventListener("hashchange", route);
  route();
}

addEventListener("DOMContentLoaded", () => {
  themeButton();
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("form.filters").forEach(filter);
  detailPages();
});
