// Draws the charts of a report, and fills, sorts and searches its tables.
"use strict";

const ROWS = 25; // of a table that are shown at once

function readJson(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function shown(value, column) {
  if (value === null) return "–";
  if (column.kind === "integer") return value.toLocaleString("en");
  if (column.kind !== "number") return value;
  const small = value !== 0 && Math.abs(value) < 10 ** -column.digits;
  if (small || Math.abs(value) >= 1e7) return value.toPrecision(3);
  const places = {
    minimumFractionDigits: column.digits,
    maximumFractionDigits: column.digits,
  };
  return value.toLocaleString("en", places);
}

function compare(one, other) {
  if (typeof one === "number") return one - other;
  return one.localeCompare(other, "en", { numeric: true });
}

class Table {
  constructor(place) {
    this.place = place;
    this.columns = readJson(place.dataset.table).columns;
    const count = this.columns.length ? this.columns[0].values.length : 0;
    this.all = [...Array(count).keys()];
    this.rows = this.all;
    this.start = 0;
    this.body = element("tbody");
    this.heads = this.columns.map((column, n) => this.head(column, n));
    const heads = element("thead", {}, element("tr", {}, ...this.heads));
    const name = place.dataset.title;
    const table = element("table", { ariaLabel: name }, heads, this.body);
    place.append(this.tools(count, name));
    const wide = element("div", { className: "wide", tabIndex: 0 }, table);
    wide.setAttribute("role", "region");
    wide.setAttribute("aria-label", name);
    place.append(wide);
    this.fill();
  }

  head(column, n) {
    const button = element("button", { type: "button", textContent: column.title });
    button.addEventListener("click", () => this.sort(n));
    const head = element("th", { scope: "col", title: column.note }, button);
    if (column.kind !== "text") head.className = "number";
    return head;
  }

  tools(count, name) {
    this.search = element("input", { type: "search", placeholder: "Search" });
    this.search.setAttribute("aria-label", `Search in ${name}`);
    this.search.addEventListener("input", () => this.find());
    this.back = element("button", { type: "button", textContent: "Previous" });
    this.next = element("button", { type: "button", textContent: "Next" });
    this.back.addEventListener("click", () => this.move(-ROWS));
    this.next.addEventListener("click", () => this.move(ROWS));
    this.where = element("span", { className: "note" });
    this.where.setAttribute("aria-live", "polite");
    const row = { className: "tools", hidden: count <= 5 };
    if (count <= ROWS) this.back.hidden = this.next.hidden = true;
    return element("div", row, this.search, this.where, this.back, this.next);
  }

  sort(n) {
    const head = this.heads[n];
    const first = this.columns[n].kind === "text" ? "ascending" : "descending";
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = head.ariaSort === first ? other : first;
    this.heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction);
    const values = this.columns[n].values;
    const sign = direction === "ascending" ? 1 : -1;
    this.all.sort((a, b) => {
      const [one, two] = [values[a], values[b]];
      if (one === null || two === null) return (one === null) - (two === null);
      return sign * compare(one, two) || a - b;
    });
    this.find();
  }

  find() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    // Names and ids, the first column; digits of other numbers are not searched.
    const searched = this.columns.filter((column, n) => !n || column.kind === "text");
    const texts = searched.map((column) => column.values);
    const has = (row) => {
      const text = texts.map((values) => values[row]).join("\n").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    this.rows = words.length ? this.all.filter(has) : this.all;
    this.start = 0;
    this.fill();
  }

  move(by) {
    this.start += by;
    this.fill();
  }

  fill() {
    const end = Math.min(this.start + ROWS, this.rows.length);
    const rows = this.rows.slice(this.start, end).map((row) => this.row(row));
    this.body.replaceChildren(...rows);
    const span = this.rows.length ? `${this.start + 1}–${end} of ` : "";
    this.where.textContent = `${span}${this.rows.length.toLocaleString("en")} rows`;
    this.back.disabled = this.start === 0;
    this.next.disabled = end === this.rows.length;
  }

  row(number) {
    const cells = this.columns.map((column) => {
      const text = shown(column.values[number], column);
      const link = column.links && column.links[number];
      const inside = link ? element("a", { href: link, textContent: text }) : text;
      if (link) inside.rel = "noreferrer";
      const long = text.length > 40 ? "text long" : "text";
      const className = column.kind === "text" ? long : "number";
      return element("td", { className }, inside);
    });
    return element("tr", {}, ...cells);
  }
}

async function draw(place, config, dark) {
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    config,
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: place.dataset.chart,
    tooltip: { theme: dark ? "dark" : "light" },
  };
  try {
    await vegaEmbed(place, readJson(place.dataset.chart), options);
  } catch (error) {
    console.error(error);
    place.append(element("p", { className: "failed", textContent: String(error) }));
  }
}

async function start() {
  document.querySelectorAll("[data-table]").forEach((place) => new Table(place));
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const places = [...document.querySelectorAll("[data-chart]")];
  const config = places.length ? readJson("chart-config") : {};
  await Promise.all(places.map((place) => draw(place, config, dark)));
  document.documentElement.dataset.ready = "true"; // for programs that wait for it
}

start();
