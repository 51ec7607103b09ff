// Requests to the API of MeshSessions, and the events it streams.

const API = document.body.dataset.api;

export const sessionPath = (id) => `/sessions/${encodeURIComponent(id)}`;
export const taskPath = (id, task) => `${sessionPath(id)}/chat-tasks/${encodeURIComponent(task)}`;

// A request that was answered with an error. One that was not answered is a TypeError.
export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function call(method, path, body, headers = {}) {
  const request = { method, headers: { Accept: 'application/json', ...headers } };
  if (body) {
    request.headers['Content-Type'] = 'application/json';
    request.body = JSON.stringify(body);
  }
  const response = await fetch(API + path, request);
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Problem(response.status, answer.message ?? `The server answered ${response.status}.`);
}

export const read = async (path) => (await call('GET', path)).json();

export const stream = (method, path, body, headers) =>
  call(method, path, body, { ...headers, Accept: 'text/event-stream' });

// The events of a stream, until it ends or nobody wants them any more.
export async function* events(response, signal) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  signal.addEventListener('abort', () => reader.cancel().catch(() => {}));
  let buffer = '';
  while (!signal.aborted) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (buffer + value).split('\n\n');
    buffer = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)));
      if (fields.event) yield { name: fields.event, id: fields.id, data: JSON.parse(fields.data) };
    }
  }
}
