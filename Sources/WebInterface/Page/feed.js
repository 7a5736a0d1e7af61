// What the server tells. The token is in the address behind #, which no browser sends; it is kept for this tab alone.

const kept = "token";

function token() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem(kept, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(kept) ?? "";
}

const authorization = { Authorization: `Bearer ${token()}` };

/** What is at a path below /api; throws an Error with the server's words where it refuses. */
export async function ask(path, query = {}) {
  const response = await fetch(`/api/${path}?${encode(query)}`, { headers: authorization });
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

// Not URLSearchParams: that writes a space as +, which is for forms.
function encode(query) {
  return Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

/** Calls `take(name, value)` for each message about a deployment, until `signal` ends it; begins anew where it breaks. */
export async function follow(deployment, take, signal) {
  while (!signal.aborted) {
    try {
      const response = await fetch(`/api/feed?${encode({ deployment })}`, { headers: authorization, signal });
      if (!response.ok) throw new Error((await response.text()).trim());
      await read(response.body.pipeThrough(new TextDecoderStream()).getReader(), take);
    } catch (error) {
      if (signal.aborted) return;
      take("problem", error instanceof TypeError ? "istbpf ui does not answer: has it ended?" : error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function read(reader, take) {
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const messages = text.split("\n\n");
    text = messages.pop();
    for (const message of messages) {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(message) ?? [];
      if (name) take(name, JSON.parse(data));
    }
  }
}
