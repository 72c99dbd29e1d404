// While the next page is slow to come the present one stays and says that it
// waits: with a line after a moment, in words after some seconds. A read can be
// given up.
import { text, announce } from './texts.js'

const place = document.getElementById('waiting')
const words = place?.querySelector('[data-waiting-words]')
const giveUp = place?.querySelector('[data-waiting-stop]')
const moment = 300, patience = 5 // milliseconds, seconds

let since = 0
let timer = 0
let form = null
let button = null
let stays = false // what was clicked leaves the page where it is: a file

// start counts from now. What a form says while it runs is in its data-running.
function start(sent, submitter) {
  stop()
  form = sent
  button = submitter
  since = performance.now()
  timer = setTimeout(show, moment)
}

function show() {
  place.hidden = false
  button?.setAttribute('aria-busy', 'true')
  const seconds = Math.floor((performance.now() - since) / 1000)
  if (seconds >= (form?.dataset.running ? 1 : patience)) say(seconds)
  timer = setTimeout(show, 1000 - (performance.now() - since) % 1000)
}

function say(seconds) {
  const message = form?.dataset.running?.replace('{n}', seconds) ?? text('waiting', seconds)
  words.firstElementChild.textContent = message
  if (!words.hidden) return
  giveUp.hidden = form?.method === 'post' // what was sent may be done already
  words.hidden = false
  announce(message)
}

function stop() {
  clearTimeout(timer)
  button?.removeAttribute('aria-busy')
  form = button = null
  place.hidden = words.hidden = true
}

if (place) {
  let sent = null
  document.addEventListener('click', event => {
    const link = event.target.closest?.('a[href]')
    stays = Boolean(link && (link.hasAttribute('download') || new URLSearchParams(link.search).get('format') === 'csv'))
  }, true)
  document.addEventListener('submit', event => {
    if (event.defaultPrevented) return
    sent = { form: event.target, submitter: event.submitter }
    setTimeout(() => { sent = null }, 1000)
  })
  addEventListener('beforeunload', event => {
    if (!event.defaultPrevented && !stays) start(sent?.form, sent?.submitter)
  })
  document.addEventListener('htmx:before:request', event => start(event.detail.ctx.sourceElement.closest('form')))
  document.addEventListener('htmx:finally:request', stop)
  document.addEventListener('keydown', event => event.key === 'Escape' && stop())
  addEventListener('pageshow', stop)
  giveUp.addEventListener('click', () => { window.stop(); stop() })
}
