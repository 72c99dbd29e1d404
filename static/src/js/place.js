// Puts a piece of the page that the server sent in the place of the piece with
// the same id, without disturbing the person: see static/README.md, Live pages.
import htmx from './htmx.js'
import { touched } from './focus.js'
import { text } from './texts.js'

const shown = new WeakMap() // element → the HTML it was made from
const held = new Map() // id → the newest piece that could not be placed yet

// place returns whether the piece is on the page now.
export function place(next) {
  const now = document.getElementById(next.id)
  if (!now || now.closest('[data-live-keep]')) return true
  const html = next.outerHTML
  if (shown.get(now) === html) return true
  if (busy(now)) {
    held.set(next.id, next)
    mergeAround(now, next)
    if (touched(now)) offer(now)
    return false
  }
  held.delete(next.id)
  replace(now, next)
  shown.set(next, html)
  return true
}

export function added(element) {
  htmx.process(element)
  document.dispatchEvent(new CustomEvent('twinboard:added', { detail: element }))
}

// pressed is where the pointer went down: a click is lost if that goes away before
// the pointer comes up.
let pressed = null
document.addEventListener('pointerdown', event => { pressed = event.button === 0 ? event.target : null }, true)
for (const event of ['pointerup', 'pointercancel', 'contextmenu'])
  document.addEventListener(event, () => { pressed = null }, true)

// busy: the person is in it: focus, selected text, an open menu, typed text, a press.
function busy(element) {
  if (element.contains(pressed)) return true
  const focus = document.activeElement
  if (focus && focus !== document.body && element.contains(focus)) return true
  const selection = document.getSelection()
  if (selection && !selection.isCollapsed && selection.containsNode(element, true)) return true
  return Boolean(element.querySelector('details[data-menu][open], dialog[open]')) || touched(element)
}

// mergeAround brings in what is new beside the part the person is in, as far as
// old and new are built alike. A form is one thing and is left alone.
function mergeAround(now, next) {
  if (now.matches('form, dialog') || now.tagName !== next.tagName || now.children.length !== next.children.length) return
  const pairs = [...now.children].map((child, i) => [child, next.children[i]])
  if (pairs.some(([a, b]) => a.tagName !== b.tagName)) return
  for (const [child, fresh] of pairs) {
    if (child.isEqualNode(fresh)) continue
    if (busy(child)) {
      mergeAround(child, fresh)
      continue
    }
    replace(child, fresh.cloneNode(true))
  }
  for (const name of ['class', 'data-state']) {
    const value = next.getAttribute(name)
    if (value !== null && value !== now.getAttribute(name)) now.setAttribute(name, value)
  }
}

// replace keeps what the person set up: open sections, scroll positions; and
// lights what changed.
function replace(now, next) {
  for (const details of [next, ...next.querySelectorAll('details')]) {
    const twin = details.matches('details') && twinOf(details, now)
    if (twin) details.open = twin.open
  }
  highlight(now, next)
  const scrolled = [now, ...now.querySelectorAll('*')].map(e => [e, e.scrollLeft, e.scrollTop]).filter(([, x, y]) => x || y)
  now.replaceWith(next)
  for (const [element, x, y] of scrolled) {
    const twin = element === now ? next : element.id && next.querySelector('#' + CSS.escape(element.id))
    if (twin) twin.scrollTo(x, y)
  }
  added(next)
}

function twinOf(details, now) {
  const path = details.dataset.keyPath
  if (path !== undefined) return [now, ...now.querySelectorAll('details')].find(d => d.dataset?.keyPath === path)
  if (details.id) return now.id === details.id ? now : now.querySelector('#' + CSS.escape(details.id))
  return null
}

const values = root => [...(root.matches('[data-value]') ? [root] : []), ...root.querySelectorAll('[data-value]')]

function highlight(now, next) {
  const before = values(now)
  const after = values(next)
  if (before.length !== after.length) return
  after.forEach((element, i) => {
    if (element.dataset.value === before[i].dataset.value) return
    element.dataset.changed = text('liveChanged')
    setTimeout(() => element.removeAttribute('data-changed'), 5000)
  })
}

// offer says that something newer waits behind what was typed.
function offer(now) {
  if (document.querySelector(`[data-newer-for="${CSS.escape(now.id)}"]`)) return
  const note = document.createElement('p')
  note.className = 'notice newer'
  note.dataset.newerFor = now.id
  note.setAttribute('role', 'status')
  note.append(text('liveNewer') + ' ')
  const use = document.createElement('button')
  use.type = 'button'
  use.className = 'button button-small'
  use.textContent = text('liveNewerUse')
  use.addEventListener('click', () => {
    const next = held.get(now.id)
    held.delete(now.id)
    note.remove()
    if (!next) return
    document.getElementById(now.id)?.replaceWith(next)
    added(next)
  })
  note.append(use)
  if (now.matches('tr, td, li')) (now.querySelector('td') ?? now).prepend(note)
  else now.before(note)
}

// retry places what was held, where the person has moved on.
let waiting = 0
function retry() {
  clearTimeout(waiting)
  waiting = setTimeout(() => {
    for (const [id, next] of [...held]) {
      if (!place(next)) continue
      document.querySelector(`[data-newer-for="${CSS.escape(id)}"]`)?.remove()
    }
  }, 50)
}
for (const event of ['focusout', 'selectionchange', 'toggle', 'submit', 'reset', 'pointerup', 'pointercancel', 'contextmenu', 'twinboard:sent'])
  document.addEventListener(event, () => held.size && retry(), true)
