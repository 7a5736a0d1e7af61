// The page: which deployment and which view are shown, and what is drawn when.
import { by, make } from "./dom.js";
import { ask, follow } from "./feed.js";
import { model } from "./model.js";
import * as explain from "./explain.js";
import * as flows from "./flows.js";
import * as health from "./health.js";
import * as map from "./map.js";

let shown = null, ending = null, due = new Set();

/** Draws at the next frame, once, what has changed; hidden views are drawn when they are shown. */
function changed(what) {
  if (!due.size) requestAnimationFrame(render);
  due.add(what);
}

function render() {
  const what = due;
  due = new Set();
  if (!shown) return;
  const has = (...names) => names.some((name) => what.has(name));
  if (has("problem")) {
    by("problem").textContent = shown.problem;
    by("problem").hidden = !shown.problem;
  }
  if (has("status")) {
    by("runner").textContent = `runner ${shown.status.runner}, istbpfd ${shown.status.version}`;
    offer(shown.status);
    explain.offer(shown.services().map((one) => one.name));
  }
  if (has("status", "traffic", "view") && !by("map").hidden) map.show(shown);
  if (has("history", "view") && !by("map").hidden) map.past(shown.history);
  if (has("events", "view") && !by("flows").hidden) flows.show(shown);
  if (has("status", "view") && !by("health").hidden) health.show(shown.status);
}

function offer(status) {
  const names = (status.deployments ?? []).map((one) => one.name);
  const list = by("deployment");
  if ([...list.options].map((one) => one.value).join() === names.join()) return;
  list.replaceChildren(...names.map((name) => make("option", { selected: name === shown?.deployment }, name)));
}

function enter(deployment) {
  ending?.abort();
  ending = new AbortController();
  shown = model(deployment, changed);
  map.enter(deployment);
  follow(deployment, shown.take, ending.signal);
}

function view(name) {
  for (const tab of document.querySelectorAll('[role="tab"]')) {
    const isShown = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", isShown);
    tab.tabIndex = isShown ? 0 : -1;
    by(tab.getAttribute("aria-controls")).hidden = !isShown;
  }
  changed("view");
}

function tabs() {
  const all = [...document.querySelectorAll('[role="tab"]')];
  for (const [index, tab] of all.entries()) {
    tab.addEventListener("click", () => view(tab.getAttribute("aria-controls")));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = all[(index + step + all.length) % all.length];
      next.focus();
      next.click();
    });
  }
}

async function begin() {
  tabs();
  by("deployment").addEventListener("change", () => enter(by("deployment").value));
  explain.prepare(() => shown?.deployment ?? "");
  for (;;) {
    try {
      await flows.prepare(() => changed("view"));
      break;
    } catch (error) {
      by("problem").textContent = error instanceof TypeError ? "istbpf ui does not answer: has it ended?" : error.message;
      by("problem").hidden = false;
      return;
    }
  }
  // Until a deployment is declared there is nothing to follow.
  while (!shown) {
    try {
      const status = await ask("status");
      offer(status);
      by("problem").textContent = "no deployment is declared yet: istbpf deploy declares one";
      by("problem").hidden = Boolean(status.deployments?.length);
      if (status.deployments?.length) return enter(status.deployments[0].name);
    } catch (error) {
      by("problem").textContent = error.message;
      by("problem").hidden = false;
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

begin();
