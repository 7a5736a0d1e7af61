// The map: services as nodes, connections between them as edges. A node has its place for good: the first that is free
// on a grid that grows outward from its middle, or where it was dragged to, which this browser remembers.
import { by, bytes, draw, duration, make } from "./dom.js";
import { OUTSIDE, special } from "./model.js";

const cell = { width: 270, height: 150 }, node = { width: 128, height: 54 };
let places = new Map(), storage = "", dragged = null;

/** Begins with the places that this browser has for a deployment. */
export function enter(deployment) {
  storage = `places of ${deployment}`;
  try {
    places = new Map(JSON.parse(localStorage.getItem(storage) ?? "[]"));
  } catch {
    places = new Map();
  }
}

const keep = () => localStorage.setItem(storage, JSON.stringify([...places]));

/** Cells by their distance from the middle. */
function* cells() {
  for (let ring = 0; ; ring++) {
    for (let y = -ring; y <= ring; y++) {
      for (let x = -ring; x <= ring; x++) if (Math.max(Math.abs(x), Math.abs(y)) === ring) yield [x, y];
    }
  }
}

function place(names) {
  const taken = new Set([...places.values()].map(([x, y]) => `${Math.round(x / cell.width)} ${Math.round(y / cell.height)}`));
  const free = cells();
  for (const name of names) {
    if (places.has(name)) continue;
    let [x, y] = free.next().value;
    while (taken.has(`${x} ${y}`)) [x, y] = free.next().value;
    places.set(name, [x * cell.width, y * cell.height]);
  }
}

/** Draws it anew. */
export function show(model) {
  if (dragged) return;
  const services = model.services().map((one) => one.name);
  const others = new Set([...model.edges.values()].flatMap((one) => [one.from, one.to]).filter((one) => special.has(one)));
  if (services.some((one) => model.services().find((service) => service.name === one)?.egress?.length)) others.add(OUTSIDE);
  const gone = [...model.edges.values()].flatMap((one) => [one.from, one.to])
    .filter((one) => !special.has(one) && !services.includes(one));
  const names = [...services, ...others, ...new Set(gone)];
  place(names);
  keep();
  const shown = names.map((name) => places.get(name));
  const xs = shown.map(([x]) => x), ys = shown.map(([, y]) => y);
  const left = Math.min(...xs, 0) - cell.width * 0.6, top = Math.min(...ys, 0) - cell.height * 0.7;
  const width = Math.max(...xs, 0) + cell.width * 0.6 - left, height = Math.max(...ys, 0) + cell.height * 0.7 - top;
  const edges = [...model.edges.values()].filter((one) => one.from !== one.to);
  const picture = draw("svg", {
    viewBox: `${left} ${top} ${width} ${height}`, role: "img",
    "aria-label": `${services.length} services, ${edges.length} kinds of connections; the table below has them all`,
  }, markers());
  const labelled = edges.length <= 24;
  picture.append(...edges.flatMap((one) => edge(one, labelled)));
  picture.append(...names.map((name) => box(name, model)));
  const focused = document.activeElement?.closest?.(".node")?.dataset.name;
  by("graph").replaceChildren(picture);
  if (focused) picture.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  table(model);
}

function markers() {
  const arrow = (id) => draw("marker", {
    id, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse",
    orient: "auto-start-reverse",
  }, draw("path", { d: "M0 0 8 4 0 8z" }));
  return draw("defs", {}, arrow("arrow"), arrow("arrow-denied"));
}

/** Where the line from the middle of `a` to that of `b` leaves the box of `a`. */
function border([ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay;
  const scale = 1 / Math.max(Math.abs(dx) / (node.width / 2 + 4), Math.abs(dy) / (node.height / 2 + 4), 1e-6);
  return [ax + dx * Math.min(scale, 1), ay + dy * Math.min(scale, 1)];
}

function edge(one, isLabelled) {
  const a = places.get(one.from), b = places.get(one.to);
  if (!a || !b) return [];
  const [x1, y1] = border(a, b), [x2, y2] = border(b, a);
  // Bent to one side, so that both directions are seen.
  const bend = 0.12, mx = (x1 + x2) / 2 - (y2 - y1) * bend, my = (y1 + y2) / 2 + (x2 - x1) * bend;
  const isDenied = one.denied.size > 0 && one.connections === 0 && one.opens === 0;
  const width = one.rate > 0 ? 1.5 + Math.min(4, Math.log10(1 + one.rate) / 2) : 1.5;
  const shapes = [draw("path", {
    class: isDenied ? "edge denied" : "edge", d: `M${x1} ${y1} Q${mx} ${my} ${x2} ${y2}`, "stroke-width": width,
    "marker-end": isDenied ? "url(#arrow-denied)" : "url(#arrow)",
  }, draw("title", {}, `${one.from} to ${one.to}: ${words(one)}`))];
  if (!isDenied && one.denied.size > 0) {
    shapes.push(draw("path", { class: "edge denied", d: `M${x1} ${y1} Q${2 * mx - (x1 + x2) / 2} ${2 * my - (y1 + y2) / 2} ${x2} ${y2}`,
      "stroke-width": 1.5, "marker-end": "url(#arrow-denied)" }));
  }
  if (isLabelled) {
    const x = (x1 + x2 + 2 * mx) / 4, y = (y1 + y2 + 2 * my) / 4, lines = parts(one);
    shapes.push(draw("text", { class: isDenied ? "edge-text denied" : "edge-text" },
      ...lines.map((line, index) => draw("tspan", { x, y: y + 4 + (index - (lines.length - 1) / 2) * 12 }, line))));
  }
  return shapes;
}

/** What passes on an edge, in a few lines. */
function parts(one) {
  const numbers = [], amounts = [];
  if (one.connections) numbers.push(`${one.connections} open`);
  if (one.opens >= 0.05) numbers.push(`${one.opens.toFixed(one.opens < 10 ? 1 : 0)} new/s`);
  if (one.rate >= 1) amounts.push(`${bytes(one.rate)}/s`);
  if (one.roundTrip) amounts.push(duration(one.roundTrip));
  const denied = [...one.denied].map(([reason, count]) => `${count} denied: ${reason}`);
  return [numbers.join(", "), amounts.join(", "), ...denied].filter(Boolean);
}

const words = (one) => parts(one).join(", ") || "idle";

function box(name, model) {
  const [x, y] = places.get(name), service = model.services().find((one) => one.name === name);
  const denied = [...model.edges.values()].filter((one) => one.from === name)
    .reduce((sum, one) => sum + [...one.denied.values()].reduce((a, b) => a + b, 0), 0);
  const kinds = ["node", ...(special.has(name) ? ["outside"] : []), ...(denied ? ["denied"] : [])];
  const instances = model.instances().filter((one) => one.service === name);
  const below = denied ? `${denied} denied` : service ? `${service.address}:${service.port}`
    : special.has(name) ? "" : "removed";
  const about = [...instances.map((one) => `${one.instance} on ${one.runner}: ${state(one, model)}`),
    ...(model.elsewhere.get(name) ?? []).map((one) => `${one} on another runner`)].join("\n");
  const group = draw("g", {
    class: kinds.join(" "), transform: `translate(${x} ${y})`, tabindex: 0, "data-name": name,
    "aria-label": `${name}. ${below}. ${about}`,
    onpointerdown: (event) => begin(event, name, group), onkeydown: (event) => nudge(event, name, model),
  },
  draw("rect", { x: -node.width / 2, y: -node.height / 2, width: node.width, height: node.height, rx: 7 }),
  draw("text", { y: -6 }, name.length > 17 ? `${name.slice(0, 16)}…` : name),
  draw("text", { y: 8, class: denied ? "small count" : "small" }, below),
  draw("title", {}, about || name));
  const dots = [...instances.map((one) => kind(one, model)), ...(model.elsewhere.get(name) ?? []).map(() => "elsewhere")];
  dots.slice(0, 12).forEach((kind, index, all) => group.append(draw("circle", {
    class: `dot ${kind}`, r: 4, cy: 18, cx: (index - (all.length - 1) / 2) * 10,
  })));
  return group;
}

function kind(instance, model) {
  if (instance.missingHooks?.length || !instance.switchAttached) return "unguarded";
  return model.listening.get(instance.instance)?.length ? "listening" : "silent";
}

function state(instance, model) {
  const ports = model.listening.get(instance.instance) ?? [];
  if (kind(instance, model) === "unguarded") return "NOT GUARDED";
  return ports.length ? `listens on ${ports.join(", ")}` : "does not listen";
}

/** Nodes can be moved: by a pointer, and by the arrow keys. */
function begin(event, name, group) {
  const picture = group.ownerSVGElement;
  const at = ({ clientX, clientY }) => new DOMPoint(clientX, clientY).matrixTransform(picture.getScreenCTM().inverse());
  const start = at(event), [x, y] = places.get(name);
  dragged = name;
  group.setPointerCapture(event.pointerId);
  const move = (event) => {
    const now = at(event);
    places.set(name, [x + now.x - start.x, y + now.y - start.y]);
    group.setAttribute("transform", `translate(${places.get(name).join(" ")})`);
  };
  group.addEventListener("pointermove", move);
  const end = () => {
    group.removeEventListener("pointermove", move);
    dragged = null;
    keep();
  };
  group.addEventListener("pointerup", end, { once: true });
  group.addEventListener("pointercancel", end, { once: true });
}

function nudge(event, name, model) {
  const step = { ArrowLeft: [-20, 0], ArrowRight: [20, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] }[event.key];
  if (!step) return;
  event.preventDefault();
  const [x, y] = places.get(name);
  places.set(name, [x + step[0], y + step[1]]);
  show(model);
}

/** The same as the picture, for whoever reads rather than looks. */
function table(model) {
  const rows = [...model.edges.values()].sort((a, b) => b.rate - a.rate || b.connections - a.connections);
  by("edges").replaceChildren(
    make("thead", {}, make("tr", {}, ...["From", "To", "Port", "Open", "New/s", "Bytes/s", "Round trip", "Denied in a minute"]
      .map((title) => make("th", { scope: "col" }, title)))),
    make("tbody", {}, ...rows.slice(0, 500).map((one) => make("tr", { class: one.denied.size ? "denied" : undefined },
      ...[one.from, one.to, [...one.ports].join(" ") || "-", `${one.connections}`, one.opens.toFixed(1), bytes(one.rate),
        one.roundTrip ? duration(one.roundTrip) : "-",
        [...one.denied].map(([reason, count]) => `${reason} ${count}`).join(", ") || "-"].map((text) => make("td", {}, text))))));
}

/** The last hour, a bar for each 10 s. */
export function past(history) {
  const now = Math.floor(Date.now() / 1e4) * 10, width = 360;
  const most = (name) => Math.max(1, ...history.map((one) => one[name]));
  const [sent, denied] = [most("sent"), most("denied")];
  const picture = draw("svg", { viewBox: `0 0 ${width} 40`, preserveAspectRatio: "none", role: "img",
    "aria-label": `The last hour on this runner: at most ${bytes(sent / 10)} a second were sent, and ${denied} connects denied in 10 s` });
  for (const one of history) {
    const x = width - (now - one.time) / 10 - 1;
    if (x < 0) continue;
    const up = one.sent / sent * 40, down = one.denied / denied * 20;
    picture.append(draw("rect", { class: "bar-sent", x, y: 40 - up, width: 1, height: up }),
      draw("rect", { class: "bar-denied", x, y: 0, width: 1, height: down }));
  }
  by("past").replaceChildren(picture, make("figcaption", {},
    `The last hour on this runner: bytes sent, at most ${bytes(sent / 10)}/s, and in red denials`));
}
