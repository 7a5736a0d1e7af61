// The form for what would become of a connect.
import { by, make } from "./dom.js";
import { ask } from "./feed.js";

/** Sets the form up; `deployment()` is the one that is shown. */
export function prepare(deployment) {
  by("question").addEventListener("submit", async (event) => {
    event.preventDefault();
    const [service, target] = [by("from").value, by("to").value.trim()];
    try {
      answer(service, await ask("explain", { deployment: deployment(), service, target }));
    } catch (error) {
      by("answer").replaceChildren(make("p", { class: "bad" }, error.message));
    }
  });
}

/** Offers the services that there are. */
export function offer(services) {
  const chosen = by("from").value;
  if ([...by("from").options].map((one) => one.value).join() === services.join()) return;
  by("from").replaceChildren(...services.map((name) => make("option", {}, name)));
  if (services.includes(chosen)) by("from").value = chosen;
}

// The way of a connect, and which step has the word where `decidedBy` is so.
const steps = [
  ["socket", []], ["cgroup/connect4", ["cgroup/connect4", "connect4", "cgroup/connect6", "connect6"]],
  ["fabric", ["fabric"]], ["listener", ["listen"]],
];

function answer(service, said) {
  const decides = (names) => names.some((name) => (said.decidedBy ?? "").split(/[ ,]/).includes(name));
  const path = [[service, false], ...steps.slice(1).map(([name, names]) => [name, decides(names)]),
    [said.target || said.address || "", false]];
  if (!path.some(([, isIt]) => isIt) && said.decidedBy) path.splice(1, 0, [said.decidedBy, true]);
  const isGood = said.outcome === "connected";
  by("answer").replaceChildren(
    make("h2", { class: isGood ? "good" : "bad" }, said.outcome),
    make("ol", { class: "path" }, ...path.map(([name, isIt]) => make("li", { class: isIt ? "decides" : undefined,
      "aria-current": isIt ? "step" : undefined }, name))),
    make("p", {}, said.why ?? ""),
    make("dl", {}, ...[
      ["Connect", `${said.address ?? ""}:${said.port ?? ""} ${said.target ? `(${said.target})` : ""}`],
      ["Decided by", [said.decidedBy, said.reason].filter(Boolean).join(", ")],
      ...(said.entries ?? []).map((entry) => ["Map", entry]),
      ...(said.instances ?? []).map((one) => ["Instance", `${one.instance} ${one.address} on ${one.runner}: listens: ${one.listens}`]),
    ].flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
}
