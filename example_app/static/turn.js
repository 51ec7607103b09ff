// One turn of a conversation: what somebody said, and the answer as it comes.

import { Problem, call, events, read, sessionPath, stream, taskPath } from './api.js';
import { el } from './dom.js';
import { markdown } from './markdown.js';

const ATTEMPTS = 6;
const PROBLEMS = {
  interrupted: 'The app stopped while this was being answered.',
  cancelled: 'Stopped.',
  failed: 'This could not be answered.',
};

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// What a task is before the server knows of it. Its id is made here: sending it twice sends it
// once.
export function newTask(userMessage, agent) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return { taskId: `task-${digits}`, userMessage, agent, status: 'waiting' };
}

export class Turn {
  // `page` is what it tells of its progress; `signal` says that nobody looks at it any more.
  constructor(task, session, page, signal) {
    Object.assign(this, { session, page, signal, text: '', position: null });
    this.answer = el('div', { className: 'answer' });
    this.note = el('p', { className: 'note' });
    this.tools = el('p', { className: 'tools' });
    this.agent = el('p', { className: 'agent' });
    this.action = el('button', { className: 'plain' });
    const said = el('p', { className: 'said', textContent: task.userMessage ?? '' });
    const foot = el('div', { className: 'foot' }, this.note, this.action);
    const reply = el('div', { className: 'reply' }, this.agent, this.tools, this.answer, foot);
    this.element = el('article', { className: 'turn' }, said, reply);
    this.show(task);
  }

  get live() {
    return this.task.status === 'waiting' || this.task.status === 'running';
  }

  get path() {
    return taskPath(this.session, this.task.taskId);
  }

  show(task) {
    this.task = task;
    this.element.classList.toggle('live', this.live);
    this.agent.textContent = task.agent ?? '';
    this.offer(...(this.live ? ['Stop', () => this.stop()] : ['Retry', () => this.retry()]));
    this.action.hidden = task.status === 'completed';
    this.tell(task.error?.message ?? PROBLEMS[task.status] ?? '');
    if (!this.live) this.showBubbles(task);
  }

  showBubbles(task) {
    try {
      const bubbles = JSON.parse(task.messageBubbles).filter((bubble) => bubble.type !== 'user');
      const parts = bubbles.flatMap((bubble) => bubble.parts ?? []);
      const tools = parts.filter((part) => part.data?.type === 'tool_call');
      this.tools.replaceChildren(...tools.map((p) => el('code', { textContent: p.data.name })));
      this.text = bubbles.map((bubble) => bubble.text ?? '').join('\n\n');
      this.paint();
    } catch {
      this.tell('This message is stored in a form that cannot be shown.');
    }
  }

  say(text) {
    this.text = text;
    this.painting ??= requestAnimationFrame(() => this.paint());
  }

  paint() {
    cancelAnimationFrame(this.painting);
    this.painting = undefined;
    this.page.keepingEnd(() => this.answer.replaceChildren(...markdown(this.text)));
  }

  tell(problem) {
    this.note.textContent = problem;
  }

  offer(label, onclick) {
    Object.assign(this.action, { textContent: label, onclick, hidden: false });
  }

  receive({ name, id, data }) {
    this.position = id ?? this.position;
    if (name === 'task' && data.status === 'running') this.show(data);
    if (name === 'snapshot') this.say(data.text);
    if (name === 'delta') this.say(this.text + data.text);
    if (name === 'reset') this.say('');
    if (name === 'done') this.show(data);
    if (name === 'error') throw new Problem(500, data.message);
  }

  // Follow the turn to its end, through connections that break. `start` asks for it in the first
  // place; it is asked again until the server has answered, also if nobody looks any more.
  async follow(start) {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        const response = await (start ? start() : this.resume());
        start = null;
        this.tell('');
        for await (const event of events(response, this.signal)) {
          attempt = 0;
          this.receive(event);
          if (event.name === 'done') return this.page.finished(this);
        }
      } catch (problem) {
        const lasting = problem.status && ![502, 503, 504].includes(problem.status);
        if (lasting) return this.broken(problem.message, start);
      }
      if (this.signal.aborted && !start) return undefined;
      this.tell('Connecting again …');
      await sleep(250 * 2 ** attempt);
    }
    return this.broken('The server cannot be reached.', start);
  }

  resume() {
    const headers = this.position ? { 'Last-Event-ID': this.position } : {};
    return stream('GET', `${this.path}/events`, null, headers);
  }

  broken(problem, start) {
    this.element.classList.remove('live');
    this.tell(problem);
    this.page.announce(problem);
    this.offer('Try again', () => {
      this.show({ ...this.task, status: 'waiting' });
      this.follow(start);
    });
  }

  async stop() {
    this.action.hidden = true;
    await call('POST', `${this.path}/cancel`).catch((problem) => this.tell(problem.message));
  }

  retry() {
    const task = newTask(this.task.userMessage, this.task.agent);
    const again = new Turn(task, this.session, this.page, this.signal);
    this.element.replaceWith(again.element);
    again.follow(() => stream('POST', `${this.path}/retry`, { taskId: task.taskId }));
  }
}

// The tasks of a session, the newest of them or those before one, in the order they came.
export async function history(session, limit, before) {
  const query = new URLSearchParams(before ? { limit, before } : { limit });
  return (await read(`${sessionPath(session)}/chat-tasks?${query}`)).tasks;
}
