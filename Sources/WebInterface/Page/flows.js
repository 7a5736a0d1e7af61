// The table of connections and denials as they happen.
import { by, bytes, duration, make } from "./dom.js";
import { endsOf, endText } from "./model.js";
import { ask } from "./feed.js";

const rows = 300;
let isPaused = false, frozen = [], missed = 0, reasons = {}, opened = null;

/** Sets the filters up; `again` shows the table anew. */
export async function prepare(again) {
  by("filter").addEventListener("input", again);
  by("only-denied").addEventListener("change", again);
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    by("pause").setAttribute("aria-pressed", isPaused);
    by("pause").textContent = isPaused ? "Go on" : "Pause";
    again();
  });
  reasons = await ask("reasons");
}

const kind = (one) => one.denied ? "denied" : one.closed ? "closed" : "opened";

function text(one) {
  const [source, destination] = endsOf(one);
  return [kind(one), endText(source), source?.address, endText(destination), destination?.address, one.denied?.reason,
    one.protocol, one.command].join(" ").toLowerCase();
}

/** Shows the events that the filters let through, newest first. */
export function show(model) {
  if (!isPaused) [frozen, missed] = [model.events.slice(), model.missed];
  const words = by("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const onlyDenied = by("only-denied").checked;
  const found = frozen.filter((one) => (!onlyDenied || one.denied) && words.every((word) => text(one).includes(word)));
  by("count").textContent = `${found.length} of ${frozen.length}`
    + (missed ? `; ${missed} more were too many to show` : "");
  by("events").tBodies[0].replaceChildren(...found.slice(-rows).reverse().flatMap((one) => row(one, model)));
}

function row(one, model) {
  const [source, destination] = endsOf(one);
  const toggle = () => {
    opened = opened === one ? null : one;
    show(model);
  };
  const line = make("tr", {
    class: kind(one), tabindex: 0, "aria-expanded": opened === one, onclick: toggle,
    onkeydown: (event) => { if (event.key === "Enter") toggle(); },
  }, ...[new Date(Number(one.time) / 1e6).toLocaleTimeString(), kind(one), endText(source), endText(destination),
    one.closed ? `${bytes(Number(one.closed.sent ?? 0))}, ${bytes(Number(one.closed.received ?? 0))}` : "",
    one.denied?.reason ?? ""].map((text) => make("td", {}, text)));
  if (opened !== one) return [line];
  const detail = make("td", { colspan: 6, class: "words" }, facts(one));
  if (one.denied && !one.incoming) why(one, model, detail);
  return [line, make("tr", {}, detail)];
}

const whole = (end) => [end?.name, end?.port ? `${end.address}:${end.port}` : end?.address].filter(Boolean).join(" ");

function facts(one) {
  const [source, destination] = endsOf(one);
  const list = {
    "Time": new Date(Number(one.time) / 1e6).toISOString(),
    "From": whole(source), "To": whole(destination),
    "Program": one.command && `${one.command} (${one.pid})`, "Protocol": one.protocol,
    "Reason": one.denied && `${one.denied.reason}: ${reasons[one.denied.reason] ?? ""}`,
    "Instead": one.denied?.advice,
    "Bytes": one.closed && `${one.closed.sent ?? 0} sent, ${one.closed.received ?? 0} received by ${one.local?.name}`,
    "Lived": one.closed && duration(Number(one.closed.nanoseconds ?? 0) / 1000),
    "Round trip": one.closed?.roundTripMicroseconds && duration(one.closed.roundTripMicroseconds),
  };
  return make("dl", {}, ...Object.entries(list).filter(([, value]) => value)
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

/** Adds what explain says of such a connect now, which may be another thing than then. */
async function why(one, model, detail) {
  const service = one.local?.name?.slice(model.deployment.length + 1).replace(/\.\d+$/, "");
  if (!service || !one.peer?.address || !one.peer.port) return;
  try {
    const said = await ask("explain", { deployment: model.deployment, service, target: `${one.peer.address}:${one.peer.port}` });
    detail.append(make("p", {}, `Now: ${said.outcome}. ${said.why ?? ""}`));
  } catch (error) {
    detail.append(make("p", {}, error.message));
  }
}
