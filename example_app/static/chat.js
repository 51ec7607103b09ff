// The chat page. The server keeps everything: what is shown here is read from its API, and the
// address holds the conversation.

import { call, read, sessionPath, stream } from './api.js';
import { byId, el } from './dom.js';
import { Turn, history as tasksOf, newTask } from './turn.js';

const PAGE = 50;

let config = { agents: [], scenarios: {}, persistence_enabled: true };
let session = ''; // the conversation that is open; empty until it has begun
let leaving = new AbortController(); // aborted when another one is opened
let superseded = new Set(); // tasks that were done again
let beginning = null; // two messages sent at once begin one conversation
let asked = 0; // counts the requests for the list, of which only the latest is shown
let cursor = null;

const announce = (text) => (byId('spoken').textContent = text);

function keepingEnd(change) {
  const box = byId('scroller');
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  change();
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function finished(turn) {
  announce(`${turn.task.agent}: ${turn.text || turn.note.textContent}`);
  if (!turn.signal.aborted) list();
}

const newTurn = (task) => new Turn(task, session, { announce, finished, keepingEnd }, leaving.signal);

// ---- The conversation

const hash = (id) => `#${encodeURIComponent(id)}`;

function route() {
  try {
    return open(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return open('');
  }
}

async function open(id) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  session = id;
  superseded = new Set();
  beginning = null;
  showMenu(false);
  byId('turns').replaceChildren();
  byId('earlier').hidden = true;
  byId('welcome').hidden = Boolean(id);
  entitle('');
  mark();
  if (!id || !config.persistence_enabled) return;
  try {
    const [{ data }, tasks] = await Promise.all([read(sessionPath(id)), tasksOf(id, PAGE)]);
    if (signal.aborted) return;
    entitle(data.name);
    choose(tasks.at(-1)?.agent ?? data.agentId);
    show(tasks);
    byId('scroller').scrollTop = byId('scroller').scrollHeight;
  } catch (problem) {
    if (!signal.aborted) unavailable(problem);
  }
}

function show(tasks) {
  for (const task of tasks) superseded.add(task.retryOf);
  const turns = tasks.filter((task) => !superseded.has(task.taskId)).map(newTurn);
  byId('turns').prepend(...turns.map((turn) => turn.element));
  for (const turn of turns) if (turn.live) turn.follow();
  byId('earlier').hidden = tasks.length < PAGE;
  byId('earlier').onclick = () => tasksOf(session, PAGE, tasks[0].taskId).then(show, complain);
}

function unavailable(problem) {
  const gone = problem.status === 404;
  const text = gone ? 'There is no such conversation, or it is not yours.' : problem.message;
  const again = el('button', { className: 'plain', textContent: 'Try again', onclick: route });
  byId('turns').replaceChildren(el('p', { className: 'note' }, text), gone ? '' : again);
}

function entitle(name) {
  const title = name || (session ? 'Untitled' : 'New conversation');
  byId('title').textContent = title;
  document.title = `${title} · Commonplace`;
}

function send(text) {
  const agent = chosen();
  const turn = newTurn(newTask(text, agent));
  byId('welcome').hidden = true;
  byId('turns').append(turn.element);
  byId('scroller').scrollTop = byId('scroller').scrollHeight;
  turn.follow(async () => {
    turn.session ||= await begin(text, agent);
    const body = { text, agent, taskId: turn.task.taskId };
    return stream('POST', `${sessionPath(turn.session)}/messages`, body);
  });
}

function begin(text, agentId) {
  const { signal } = leaving;
  beginning ??= call('POST', '/sessions', { name: text.slice(0, 60), agentId })
    .then((response) => response.json())
    .then(({ data }) => {
      if (!signal.aborted) enter(data);
      return data.id;
    })
    .finally(() => (beginning = null));
  return beginning;
}

function enter({ id, name }) {
  session = id;
  history.pushState(null, '', hash(id));
  entitle(name);
  list();
}

// ---- The list of conversations

async function list(more = false) {
  if (!config.persistence_enabled) return;
  asked += 1;
  const mine = asked;
  const query = byId('search').value.trim();
  const wanted = query ? { query } : { cursor: more ? cursor : '' };
  const path = `/sessions${query ? '/search' : ''}?`;
  try {
    const { data, meta } = await read(path + new URLSearchParams({ ...wanted, pageSize: PAGE }));
    // What somebody is renaming stays where it is.
    if (mine !== asked || byId('sessions').querySelector('form')) return;
    cursor = meta.nextCursor ?? null;
    byId('sessions')[more ? 'append' : 'replaceChildren'](...data.map(item));
    byId('more').hidden = !cursor;
    const empty = query ? 'Nothing found.' : 'No conversations yet.';
    byId('list-note').textContent = byId('sessions').childElementCount ? '' : empty;
    mark();
  } catch (problem) {
    if (mine === asked) byId('list-note').textContent = problem.message;
  }
}

function item({ id, name }) {
  const title = name || 'Untitled';
  const link = el('a', { href: hash(id), textContent: title, title });
  link.dataset.id = id;
  const button = (label, icon, onclick) =>
    el('button', { className: `icon ${icon}`, title: label, ariaLabel: `${label}: ${title}`, onclick });
  const row = el('li', {}, link);
  row.append(button('Rename', 'pencil', () => rename(row, id, title)));
  row.append(button('Delete', 'cross', () => remove(id, title)));
  return row;
}

function mark() {
  for (const link of byId('sessions').querySelectorAll('a')) {
    link.ariaCurrent = link.dataset.id === session ? 'page' : null;
  }
}

function rename(row, id, title) {
  const field = el('input', { value: title, maxLength: 255, required: true, ariaLabel: 'Title' });
  const form = el('form', {}, field);
  const before = [...row.children];
  row.replaceChildren(form);
  field.focus();
  field.select();
  const leave = () => {
    field.onblur = null;
    row.replaceChildren(...before);
    return list();
  };
  field.onblur = leave;
  field.onkeydown = (event) => {
    if (event.key === 'Escape') leave();
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    field.onblur = null;
    const name = field.value.trim();
    const renamed = () => id === session && entitle(name);
    await call('PATCH', sessionPath(id), { name }).then(renamed, complain);
    await leave();
  };
}

async function remove(id, title) {
  const open = id === session;
  try {
    await call('DELETE', sessionPath(id));
  } catch (problem) {
    return complain(problem);
  }
  if (open) location.hash = '';
  toast(`“${title}” was deleted.`, async () => {
    await call('POST', `${sessionPath(id)}/restore`).catch(complain);
    if (open) location.hash = hash(id);
    list();
  });
  return list();
}

const complain = (problem) => toast(problem.message);

function toast(text, undo) {
  const [note, button] = byId('toast').children;
  byId('toast').hidden = false;
  note.textContent = text;
  button.hidden = !undo;
  button.onclick = () => {
    byId('toast').hidden = true;
    undo();
  };
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => (byId('toast').hidden = true), 12000);
}

// ---- The agents, and the page itself

const chosen = () => byId('agents').querySelector('input:checked')?.value;

function choose(agent) {
  for (const box of byId('agents').querySelectorAll('input')) box.checked ||= box.value === agent;
  warn();
}

function warn() {
  const forgetful = config.scenarios[chosen()] === 'D';
  byId('warning').hidden = Boolean(chosen()) && !forgetful;
  byId('warning').textContent = forgetful
    ? `${chosen()} has no database: it does not remember what this page shows.`
    : 'No agent can answer here: none is registered.';
}

function showMenu(open) {
  document.body.classList.toggle('menu-open', open);
  byId('menu').ariaExpanded = String(open);
}

function listen() {
  const text = byId('text');
  byId('composer').onsubmit = (event) => {
    event.preventDefault();
    const said = text.value.trim();
    if (!said || !chosen()) return;
    text.value = '';
    send(said);
  };
  text.onkeydown = (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId('composer').requestSubmit();
  };
  byId('agents').onchange = warn;
  byId('welcome').onclick = (event) => {
    const sample = event.target.closest('button')?.dataset;
    if (!sample) return;
    choose(sample.agent);
    text.value = sample.text;
    text.focus();
  };
  byId('new').onclick = () => {
    showMenu(false);
    text.focus();
  };
  byId('sessions').onclick = (event) => event.target.closest('a') && showMenu(false);
  byId('more').onclick = () => list(true);
  byId('menu').onclick = () => showMenu(!document.body.classList.contains('menu-open'));
  byId('search').oninput = () => {
    clearTimeout(listen.timer);
    listen.timer = setTimeout(list, 250);
  };
  document.querySelector('main').addEventListener('click', () => showMenu(false));
  addEventListener('keydown', (event) => event.key === 'Escape' && showMenu(false));
  addEventListener('hashchange', route);
}

async function start() {
  listen();
  try {
    config = await read('/config');
  } catch (problem) {
    byId('warning').hidden = false;
    byId('warning').textContent = `The server cannot be reached. Reload the page. (${problem.message})`;
    return;
  }
  const boxes = config.agents.map((value) =>
    el('label', {}, el('input', { type: 'radio', name: 'agent', value }), el('span', {}, value)));
  byId('agents').append(...boxes);
  choose(config.agents[0]);
  document.body.classList.toggle('no-history', !config.persistence_enabled);
  list();
  route();
}

start();
