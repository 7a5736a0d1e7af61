// What istbpf status says, as tables.
import { by, make } from "./dom.js";

function table(titles, rows) {
  return make("div", { class: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...titles.map((title) => make("th", { scope: "col" }, title)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) =>
      make("td", { class: cell?.kind }, `${cell?.text ?? cell}`)))))));
}

const mark = (isGood, text) => ({ kind: isGood ? "good" : "bad", text });

/** Shows a status. */
export function show(status) {
  if (!status) return;
  const parts = [make("h2", {}, "This runner"), make("dl", {}, ...[
    ["Runner", status.runner], ["Version", status.version], ["Range", status.range],
    ["istbpfd", `pid ${status.pid}, since ${new Date(Number(status.startedAt ?? 0) * 1000).toLocaleString()}`],
    ["Deployments", (status.deployments ?? []).length],
  ].flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, `${value}`)]))];
  const { cluster, frontDoor } = status;
  if (cluster) {
    const encrypted = cluster.kernelTlsProblem ? `by istbpfd (${cluster.kernelTlsProblem})` : "by the kernel";
    parts.push(make("h2", {}, `Cluster ${cluster.name}`), make("dl", {}, ...[
      ["Registry", cluster.registryProblem || (cluster.registryCurrent ? "current" : "what was last known")],
      ["Tunnels", `${cluster.kernelTunnels ?? 0} encrypted by the kernel, ${cluster.userSpaceTunnels ?? 0} by istbpfd; new ones ${encrypted}`],
      ["Connections in them", cluster.streams ?? 0], ["Instances held", cluster.heldInstances ?? 0],
    ].flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, `${value}`)])),
    table(["Runner", "There", "Tunnels at", "Version", "Instances", "Tells of its part"], (cluster.runners ?? []).map((one) => {
      const silent = (status.silent ?? []).find((other) => other.runner === one.name);
      return [one.name, mark(one.present, one.present ? "yes" : "gone"), one.address ?? "", one.version ?? "",
        one.instances ?? 0, silent ? mark(false, silent.problem) : ""];
    })));
  }
  if (frontDoor) {
    parts.push(make("h2", {}, "Front door"), make("p", {},
      `${frontDoor.domain}: ${frontDoor.problem || `HAProxy runs, pid ${frontDoor.pid}`}`));
  }
  const instances = (status.deployments ?? []).flatMap((one) => one.instances ?? []);
  parts.push(make("h2", {}, `Instances (${instances.length})`),
    table(["Instance", "Address", "Runner", "Container", "Engine", "Guarded"], instances.slice(0, 1000).map((one) => {
      const missing = [...(one.missingHooks ?? []), ...(one.switchAttached ? [] : ["switch"])];
      return [one.instance, one.address, one.runner, (one.container ?? "").slice(0, 12) || "-", one.engine || "-",
        mark(!missing.length, missing.length ? `MISSING ${missing.join(" ")}` : `${one.hooks?.length ?? 0} hooks, switch`)];
    })));
  const denials = (status.deployments ?? []).flatMap((deployment) => (deployment.services ?? []).flatMap((service) =>
    (service.denials ?? []).map((one) => [`${deployment.name}/${service.name}`, one.reason, one.count])));
  if (denials.length) parts.push(make("h2", {}, "Denials since declared"), table(["Service", "Reason", "Count"], denials));
  by("health").replaceChildren(...parts);
}
