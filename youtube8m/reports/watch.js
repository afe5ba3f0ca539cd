// Asks the server for what has changed, and draws only that anew.
"use strict";

const EVERY = 2000; // milliseconds

function dataScripts(from) {
  const found = from.querySelectorAll('script[type="application/json"]');
  return [...found].filter((script) => script.id !== "chart-config");
}

async function replaceChart(place) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  place.style.minHeight = `${place.offsetHeight}px`; // nothing below it moves
  await draw(place, readJson("chart-config"), dark);
  place.style.minHeight = "";
}

function replaceTable(place) {
  const words = place.querySelector("input").value;
  place.replaceChildren();
  const table = new Table(place);
  table.search.value = words;
  table.find();
}

async function replaceAll(made) {
  const main = document.querySelector("main");
  const before = scrollY;
  main.style.minHeight = `${main.offsetHeight}px`;
  dataScripts(document).forEach((script) => script.remove());
  document.body.append(...dataScripts(made));
  main.replaceChildren(...made.querySelector("main").childNodes);
  main.querySelectorAll("[data-table]").forEach((place) => new Table(place));
  await Promise.all([...main.querySelectorAll("[data-chart]")].map(replaceChart));
  main.style.minHeight = "";
  scrollTo(0, before);
}

async function update(text) {
  const made = new DOMParser().parseFromString(text, "text/html");
  const scripts = dataScripts(made);
  const ids = (all) => all.map((script) => script.id).join();
  if (ids(scripts) !== ids(dataScripts(document))) return replaceAll(made);
  for (const script of scripts) {
    const old = document.getElementById(script.id);
    if (old.textContent === script.textContent) continue;
    old.textContent = script.textContent;
    const chart = document.querySelector(`[data-chart="${script.id}"]`);
    const table = document.querySelector(`[data-table="${script.id}"]`);
    if (chart) await replaceChart(chart);
    if (table) replaceTable(table);
  }
  const texts = "main > .facts, main > .said, figure > h3, figcaption";
  const fresh = made.querySelectorAll(texts);
  document.querySelectorAll(texts).forEach((old, n) => {
    if (fresh[n] && old.innerHTML !== fresh[n].innerHTML) {
      old.innerHTML = fresh[n].innerHTML;
    }
  });
}

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function watch() {
  const root = document.documentElement;
  while (root.dataset.ready !== "true") await wait(50);
  const state = element("p", { className: "note", id: "watched" });
  document.body.append(state);
  let last = "";
  for (;;) {
    try {
      const answer = await fetch("content", { cache: "no-cache" });
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      if (text !== last) await update(text);
      last = text;
      root.dataset.answers = Number(root.dataset.answers || 0) + 1; // for tests
      state.textContent = `Watched; last asked ${new Date().toLocaleTimeString()}.`;
    } catch (error) {
      const ended = error instanceof TypeError; // fetch has found no server
      state.textContent = ended
        ? "Not watched any more: the command that served it has ended."
        : `Not up to date: ${error.message}`;
    }
    await wait(EVERY);
  }
}

watch();
