// A feed: lines at the end of a list. Paused, it collects and counts; it
// follows its end only while it is there; it keeps 500 lines.
import { added } from './place.js'
import { text } from './texts.js'

const most = 500
const waiting = new Map() // id of a paused list → lines

const atEnd = list => list.scrollHeight - list.scrollTop - list.clientHeight < 24
const panel = list => list.closest('[data-feed]')

// add puts a line at the end of the list, or keeps it while the list is paused.
export function add(id, line) {
  const list = document.getElementById(id)
  if (!list || document.getElementById(line.id)) return
  const lines = waiting.get(id)
  if (!lines) return append(list, [line])
  if (lines.some(l => l.id === line.id)) return
  lines.push(line)
  if (lines.length > most) lines.shift()
  label(list)
}

function append(list, lines) {
  const follow = atEnd(list)
  const height = list.scrollHeight
  list.append(...lines)
  let gone = 0
  while (list.children.length > most) list.firstElementChild.remove(), gone++
  lines.forEach(added)
  if (follow) list.scrollTop = list.scrollHeight
  else if (gone) list.scrollTop -= Math.max(0, height - list.scrollHeight)
  mark(list)
}

function mark(list) {
  const end = panel(list)?.querySelector('[data-feed-end]')
  if (end) end.hidden = atEnd(list)
}

function toggle(list) {
  const lines = waiting.get(list.id)
  if (lines) {
    waiting.delete(list.id)
    append(list, lines)
  } else {
    waiting.set(list.id, [])
  }
  label(list)
}

function label(list) {
  const lines = waiting.get(list.id)
  const button = panel(list)?.querySelector('[data-feed-pause]')
  if (button) {
    button.setAttribute('aria-pressed', String(Boolean(lines)))
    const icon = button.querySelector('use')
    icon?.setAttribute('href', icon.getAttribute('href').replace(/#.*/, lines ? '#play' : '#pause'))
    button.querySelector('[data-feed-pause-label]').textContent = lines ? text('feedResume', lines.length) : text('feedPause')
  }
  const count = [...waiting.values()].reduce((sum, l) => sum + l.length, 0)
  document.dispatchEvent(new CustomEvent('twinboard:paused', { detail: { any: waiting.size > 0, count } }))
}

const listOf = element => document.getElementById(element.closest('[data-feed]')?.dataset.feed)

document.addEventListener('click', event => {
  if (event.target.closest('[data-feed-pause]')) toggle(listOf(event.target))
  if (event.target.closest('[data-feed-end]')) {
    const list = listOf(event.target)
    list.scrollTop = list.scrollHeight
    list.focus()
    mark(list)
  }
})
document.addEventListener('change', event => {
  if (event.target.matches('[data-feed-aloud]')) listOf(event.target).setAttribute('aria-live', event.target.checked ? 'polite' : 'off')
})
document.addEventListener('keydown', event => {
  if (event.key !== ' ' || !event.target.matches?.('[data-feed-lines]')) return
  event.preventDefault()
  toggle(event.target)
})
document.addEventListener('scroll', event => {
  if (event.target.matches?.('[data-feed-lines]')) mark(event.target)
}, true)

for (const list of document.querySelectorAll('[data-feed-lines]')) list.scrollTop = list.scrollHeight
