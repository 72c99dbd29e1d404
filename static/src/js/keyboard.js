// Single keys, matched by the character typed, only outside fields. An element
// with data-key="e" (or "g d": two keys in turn) is what the key presses: of
// several that in the row of the focus, or else the first. A group takes the focus.
import { cycleTheme } from './theme.js'
import { selectTo } from './select.js'

const enabled = () => document.body.dataset.keys !== 'off'
const inField = element => element.closest?.('input:not([type=checkbox], [type=radio], [type=button]), textarea, select, [contenteditable=true], .cm-editor')
let first = ''
let forget = 0

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (!enabled() || inField(event.target) || event.key.length !== 1 && !event.key.startsWith('Arrow')) return
  if (document.querySelector('dialog[open]')) return
  const key = first ? first + ' ' + event.key : event.key
  clearTimeout(forget)
  first = ''
  if (press(key, event)) return event.preventDefault()
  if (event.key === 'g' && key === 'g') {
    first = 'g'
    forget = setTimeout(() => { first = '' }, 1500)
  }
})

function press(key, event) {
  const named = `[data-key="${CSS.escape(key)}"]`
  const target = event.target.closest?.('[data-row]')?.querySelector(named) ?? document.querySelector(named)
  if (target) return activate(target)
  switch (key) {
    case '?': return openList()
    case 't': return cycleTheme()
    case 'j': return moveRow(1)
    case 'k': return moveRow(-1)
    case 'x': return selectRow(event.target)
    case 'X': return selectTo(event.target.closest?.('[data-row]'))
    case 'ArrowDown': return event.target.closest?.('[data-row]') && moveRow(1)
    case 'ArrowUp': return event.target.closest?.('[data-row]') && moveRow(-1)
  }
  return false
}

function activate(element) {
  if (element.matches('input, textarea, select')) {
    element.focus()
    element.select?.()
  } else if (element.matches('[role=group]')) {
    element.querySelector('button, a').focus()
  } else {
    element.click()
  }
  return true
}

function openList() {
  const dialog = document.getElementById('keys')
  for (const line of dialog.querySelectorAll('[data-key-needs]')) {
    const needs = line.dataset.keyNeeds
    line.hidden = Boolean(needs) && !document.querySelector(needs)
  }
  dialog.showModal()
  return true
}

function moveRow(step) {
  const rows = [...document.querySelectorAll('[data-row]')]
  if (!rows.length) return false
  const at = rows.indexOf(document.activeElement.closest('[data-row]'))
  const row = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + step))]
  const focus = row.querySelector('a[href], button') ?? row
  focus.focus()
  row.scrollIntoView({ block: 'nearest' })
  return true
}

function selectRow(element) {
  const box = element.closest?.('[data-row]')?.querySelector('input[type=checkbox]')
  box?.click()
  return Boolean(box)
}

document.addEventListener('click', event => {
  if (event.target.closest('[data-dialog="keys"]')) openList()
})
