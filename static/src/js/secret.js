// A secret is fetched when asked for, shown for 30 seconds, and never kept.
import { toClipboard, report } from './copy.js'
import { text, announce } from './texts.js'

const seconds = 30

async function fetchSecret(form) {
  const answer = await fetch(form.action, { method: 'POST', headers: { Accept: 'text/plain' }, body: new URLSearchParams(new FormData(form)) })
  if (!answer.ok || answer.redirected) throw new Error(String(answer.status))
  return answer.text()
}

function hide(form) {
  clearTimeout(form.hideTimer)
  const field = form.querySelector('[data-secret-value]')
  field.value = field.defaultValue
  delete form.dataset.shown
  label(form)
}

function label(form) {
  const button = form.querySelector('[data-secret-reveal]')
  const span = button.querySelector('span')
  span.dataset.label ??= span.textContent
  const shown = 'shown' in form.dataset
  span.textContent = shown ? button.dataset.labelHide : span.dataset.label
  const more = form.querySelector('[data-secret-more]')
  if (!shown && more === document.activeElement) button.focus()
  if (more) more.hidden = !shown
}

async function reveal(form) {
  if ('shown' in form.dataset) return hide(form)
  try {
    form.querySelector('[data-secret-value]').value = await fetchSecret(form)
  } catch {
    return failed(form)
  }
  form.dataset.shown = ''
  label(form)
  extend(form)
}

// extend shows a secret for another while.
function extend(form) {
  clearTimeout(form.hideTimer)
  form.hideTimer = setTimeout(() => hide(form), seconds * 1000)
}

function failed(form) {
  form.querySelector('.field-hint').textContent = text('secretFailed')
  announce(text('secretFailed'))
}

document.addEventListener('submit', event => {
  const form = event.target.closest('[data-secret]')
  if (!form) return
  event.preventDefault()
  reveal(form)
})
document.addEventListener('click', event => {
  const more = event.target.closest('[data-secret-more]')
  if (more) extend(more.form)
})
document.addEventListener('click', async event => {
  const button = event.target.closest('[data-secret-copy]')
  if (!button) return
  const form = button.closest('form')
  try {
    report(button, await toClipboard(await fetchSecret(form)))
  } catch {
    failed(form)
  }
})
// Neither a hidden tab nor the back button finds a secret on the screen.
const hideAll = () => document.querySelectorAll('[data-secret][data-shown]').forEach(hide)
addEventListener('pagehide', hideAll)
