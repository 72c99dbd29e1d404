// One event stream a tab, open only while someone can see the page.
import { place, added } from './place.js'
import { add } from './feed.js'
import { touched } from './focus.js'
import { pieces } from './pieces.js'
import { text, announce } from './texts.js'

const base = document.body.dataset.live
const indicator = document.getElementById('live')
const burst = 3 // repaints of one element a second before they are merged
const longest = 30 // seconds between attempts

let source = null
let last = '' // id of the newest event
let version = ''
let failures = 0
let timer = 0
let paused = 0 // lines that wait in paused feeds
let anyPaused = false
let state = 'connecting' // of the stream: 'on' when it is open
let hub = 'on' // how current the hub's picture is, as the stream tells
let retryAt = 0

function address() {
  const url = new URL(base, location.href)
  if (last) url.searchParams.set('after', last)
  return url
}

function open() {
  if (source || document.hidden) return
  clearTimeout(timer)
  source = new EventSource(address())
  source.onopen = () => { failures = 0; show('on') }
  source.onmessage = event => { note(event); receive(event.data) }
  source.onerror = () => { close(); wait() }
  source.addEventListener('gap', event => { note(event); gap() })
  source.addEventListener('reload', reload)
  source.addEventListener('hub', event => { hub = event.data; show('on') })
  source.addEventListener('version', event => isCurrent(event.data))
}

function close() {
  source?.close()
  source = null
}

// wait tries again after a pause that grows and is never the same for all tabs.
function wait() {
  const seconds = Math.min(longest, 2 ** failures++) * (0.5 + Math.random())
  retryAt = Date.now() + seconds * 1000
  clearTimeout(timer)
  const tick = () => {
    const left = Math.ceil((retryAt - Date.now()) / 1000)
    if (left <= 0) return open()
    show('reconnecting', left)
    timer = setTimeout(tick, Math.min(1000, retryAt - Date.now()))
  }
  tick()
}

const note = event => { last = event.lastEventId || last }

// Pieces wait for the next paint; of the pieces with one id the newest stays.
const arrived = new Map()
const repaints = new Map() // id → times of its last repaints
let frame = 0

function receive(html) {
  for (const piece of pieces(html)) {
    if (!piece.id) continue
    arrived.delete(piece.id) // so that it moves to the end: order counts for lines
    arrived.set(piece.id, piece)
  }
  schedule()
}

function schedule() {
  frame ||= requestAnimationFrame(() => { frame = 0; paint() })
}

function paint() {
  const now = performance.now()
  for (const [id, piece] of [...arrived]) {
    const times = (repaints.get(id) ?? []).filter(t => now - t < 1000)
    if (times.length >= burst) {
      setTimeout(schedule, 1000 - (now - times[0]))
      continue
    }
    arrived.delete(id)
    repaints.set(id, [...times, now])
    put(document.importNode(piece, true))
  }
  if (repaints.size > 2000) repaints.clear()
}

function put(piece) {
  const { append, prepend } = piece.dataset
  if (append) return add(append, piece)
  const existing = document.getElementById(piece.id)
  if (piece.hasAttribute('data-remove')) return existing?.remove()
  if (!existing && prepend) {
    document.getElementById(prepend)?.prepend(piece)
    return added(piece)
  }
  place(piece)
}

function gap() {
  const place = document.getElementById('flashes')
  if (!place || place.querySelector('[data-gap]')) return
  const p = document.createElement('p')
  p.className = 'notice'
  p.dataset.gap = ''
  p.setAttribute('role', 'status')
  p.textContent = text('liveGap')
  place.append(p)
}

const typing = () => [...document.forms].some(touched)

function reload() {
  if (!typing()) location.reload()
  else gap()
}

function isCurrent(now) {
  version ||= now
  if (version === now || document.querySelector('[data-outdated]')) return
  const p = document.createElement('p')
  p.className = 'notice'
  p.dataset.outdated = ''
  p.textContent = text('liveOutdated')
  document.getElementById('flashes')?.append(p)
}

function show(next, n) {
  if (indicator && next !== state) announceState(next)
  state = next
  if (!indicator) return
  indicator.hidden = false
  const visible = shown()
  indicator.dataset.state = visible
  indicator.textContent = text('live' + visible[0].toUpperCase() + visible.slice(1), visible === 'paused' ? paused : n)
}

// An open stream is not enough: what it brings can be no newer than the hub's picture.
function shown() {
  if (state !== 'on' || hub !== 'on') return state === 'on' ? hub : state
  return anyPaused ? 'paused' : 'on'
}

// Only a change of state is worth saying aloud, not each second of a countdown.
function announceState(next) {
  if (next === 'reconnecting') announce(text('liveReconnecting', Math.ceil((retryAt - Date.now()) / 1000)))
  if (next === 'on' && state === 'reconnecting') announce(text('liveOn'))
}

document.addEventListener('twinboard:paused', event => {
  anyPaused = event.detail.any
  paused = event.detail.count
  if (base) show(state)
})

function visible() {
  if (document.hidden) {
    close()
    clearTimeout(timer)
  } else {
    failures = 0
    open()
  }
}

if (base) {
  show('connecting')
  document.addEventListener('visibilitychange', visible)
  addEventListener('pagehide', close)
  addEventListener('pageshow', event => event.persisted && visible())
  addEventListener('online', () => { if (!source) { failures = 0; open() } })
  open()
}
