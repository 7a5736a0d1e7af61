// What is known of one deployment: what the feed said last, and what follows from it.

const kept = 2000; // events in the table
const recent = 60_000; // how long a denial is shown on the map, in milliseconds

export const OUTSIDE = "outside", HOST = "istbpf connect", DOOR = "front door";

/** The nodes that are no services. */
export const special = new Set([DOOR, HOST, OUTSIDE]);

/** A model of a deployment; `changed(what)` is called as it changes. */
export function model(deployment, changed) {
  const it = {
    deployment, status: undefined, history: [], listening: new Map(), edges: new Map(), events: [], missed: 0,
    elsewhere: new Map(), // instances of other runners that something here talks to, by service
    omitted: 0, problem: "",
  };
  let seen = new Map(); // bytes of each connection at the last look
  let seenAt = 0;
  let opened = new Map(); // connections that opened since the last look, by edge
  let passed = new Map(); // bytes of those that closed since
  const denials = []; // { key, reason, at }

  it.services = () => it.status?.deployments?.find((one) => one.name === deployment)?.services ?? [];
  it.instances = () => it.status?.deployments?.find((one) => one.name === deployment)?.instances ?? [];

  it.take = (name, value) => {
    ({ status, traffic, events, history, lost, problem })[name]?.(value);
  };

  function status(value) {
    it.status = value;
    changed("status");
  }

  function history({ steps = [] }) {
    const sum = (services, name) => services.reduce((sum, one) => sum + Number(one[name] ?? 0), 0);
    it.history = steps.map(({ time, services = [] }) =>
      ({ time: Number(time), sent: sum(services, "sent"), denied: sum(services, "denials") }));
    changed("history");
  }

  function lost(count) {
    it.missed += count;
    changed("events");
  }

  function problem(text) {
    it.problem = text;
    changed("problem");
  }

  /** The address from which the front door connects: the first of the range. */
  const gateway = () => it.status?.range?.replace(/0\/15$/, "1");

  /** The node that an end of a connection belongs to. */
  function node(end) {
    const name = end?.name ?? "";
    if (name === HOST) return HOST;
    if (name.startsWith(`${deployment}/`)) {
      const rest = name.slice(deployment.length + 1);
      const known = (service) => it.services().some((one) => one.name === service);
      const service = rest.replace(/\.\d+$/, "");
      return known(rest) && !known(service) ? rest : service;
    }
    return end?.address === gateway() ? DOOR : OUTSIDE;
  }

  const ends = (one) => one.incoming ? [one.peer, one.local] : [one.local, one.peer];

  function key(one) {
    const [source, destination] = ends(one);
    return JSON.stringify([node(source), node(destination)]);
  }

  function traffic(value) {
    const now = performance.now(), seconds = seenAt ? (now - seenAt) / 1000 : 0;
    const edges = new Map(), looked = new Map();
    const edge = (key) => {
      if (!edges.has(key)) {
        const [from, to] = JSON.parse(key);
        edges.set(key, { from, to, connections: 0, rate: 0, opens: 0, roundTrip: 0, ports: new Set(), denied: new Map() });
      }
      return edges.get(key);
    };
    for (const one of value.connections ?? []) {
      const own = edge(key(one)), [source, destination] = ends(one);
      const bytes = Number(one.sent ?? 0) + Number(one.received ?? 0);
      const id = `${source.address}:${source.port} ${destination.address}:${destination.port}`;
      looked.set(id, bytes);
      own.connections += 1;
      own.roundTrip += one.roundTripMicroseconds ?? 0;
      if (own.ports.size < 8) own.ports.add(destination.port);
      if (seconds) own.rate += Math.max(0, bytes - (seen.get(id) ?? 0)) / seconds;
    }
    for (const one of edges.values()) one.roundTrip /= one.connections;
    if (seconds) {
      for (const [name, count] of opened) edge(name).opens = count / seconds;
      for (const [name, count] of passed) edge(name).rate += count / seconds;
    }
    while (denials.length && denials[0].at < now - recent) denials.shift();
    for (const one of denials) {
      const { denied } = edge(one.key);
      denied.set(one.reason, (denied.get(one.reason) ?? 0) + 1);
    }
    [seen, seenAt, opened, passed] = [looked, now, new Map(), new Map()];
    it.edges = edges;
    it.omitted = Number(value.omitted ?? 0);
    const own = new Set(it.instances().map((one) => one.instance)), elsewhere = new Map();
    for (const { peer } of value.connections ?? []) {
      const service = node(peer);
      if (special.has(service) || own.has(peer.name)) continue;
      // A caller may know of no more than the service: its instances elsewhere are those that the other runners tell of.
      const isToldOf = it.instances().some((one) => one.service === service && one.runner !== it.status.runner);
      if (isToldOf && peer.name === `${deployment}/${service}`) continue;
      if (!elsewhere.has(service)) elsewhere.set(service, new Set());
      elsewhere.get(service).add(peer.name);
    }
    it.elsewhere = new Map([...elsewhere].map(([service, names]) => [service, [...names].sort()]));
    it.listening = new Map((value.listening ?? []).map((one) => [one.instance, one.ports ?? []]));
    changed("traffic");
  }

  function events({ events, connections, more }) {
    for (const one of events.filter((one) => one.denied)) {
      denials.push({ key: key(one), reason: one.denied.reason, at: performance.now() });
      if (denials.length > kept) denials.shift();
    }
    for (const one of connections) {
      const name = key(one);
      opened.set(name, (opened.get(name) ?? 0) + Number(one.opened ?? 0));
      passed.set(name, (passed.get(name) ?? 0) + Number(one.sent ?? 0) + Number(one.received ?? 0));
    }
    it.missed += more;
    it.events.push(...events);
    if (it.events.length > kept) it.events.splice(0, it.events.length - kept);
    changed("events");
  }

  return it;
}

/** The address and port, and the name where there is one. */
export function endText(end) {
  if (!end) return "";
  const place = end.port ? `${end.address ?? ""}:${end.port}` : end.address ?? "";
  return end.name ? `${end.name} ${end.port ? `:${end.port}` : ""}`.trim() : place;
}

/** Caller and called of an event or connection. */
export const endsOf = (one) => one.incoming ? [one.peer, one.local] : [one.local, one.peer];
