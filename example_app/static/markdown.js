// Markdown, as far as the agents here use it: paragraphs, lists, tasks, code and bold. It makes
// elements and puts text into them as text, so that nothing in an answer can become HTML.

import { el } from './dom.js';

function inline(text) {
  return text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((part) => {
    if (/^`.+`$/.test(part)) return el('code', { textContent: part.slice(1, -1) });
    if (/^\*\*.+\*\*$/.test(part)) return el('strong', { textContent: part.slice(2, -2) });
    return part;
  });
}

function listItem(text) {
  const task = text.match(/^\[([ xX])\] (.*)/s);
  if (!task) return el('li', {}, ...inline(text));
  const checked = task[1] !== ' ';
  const box = el('input', { type: 'checkbox', disabled: true, checked });
  return el('li', {}, el('label', { className: 'task' }, box, el('span', {}, ...inline(task[2]))));
}

export function markdown(text) {
  const blocks = [];
  let open = null; // the list or paragraph that the next line may go on with
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i += 1) {
    const item = lines[i].match(/^ {0,3}(?:[-*]|(\d{1,4})[.)]) +(.*)/);
    if (lines[i].startsWith('```')) {
      const end = lines.findIndex((line, n) => n > i && line.startsWith('```'));
      const code = lines.slice(i + 1, end < 0 ? lines.length : end).join('\n');
      blocks.push(el('pre', { tabIndex: 0 }, el('code', { textContent: code })));
      i = end < 0 ? lines.length : end;
      open = null;
    } else if (item) {
      const tag = item[1] ? 'ol' : 'ul';
      if (open?.localName !== tag) blocks.push((open = el(tag)));
      if (item[1] && !open.children.length) open.start = item[1];
      open.append(listItem(item[2]));
    } else if (!lines[i].trim()) {
      open = null;
    } else if (open?.localName === 'p') {
      open.append('\n', ...inline(lines[i]));
    } else {
      blocks.push((open = el('p', {}, ...inline(lines[i]))));
    }
  }
  return blocks;
}
