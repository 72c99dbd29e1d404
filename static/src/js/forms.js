// Forms: Ctrl+Enter sends, and nothing typed is lost by leaving.
import { touched } from './focus.js'
import { text } from './texts.js'

const guarded = () => [...document.querySelectorAll('form[data-guard]')]
const unsent = form => !('sent' in form.dataset || 'accepted' in form.dataset) && touched(form)

document.addEventListener('keydown', event => {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
  // On a page with something to confirm the key works from anywhere: after a
  // review the focus is in no form.
  const form = event.target.closest?.('form, dialog') ?? document.querySelector('main [data-default]')?.form
  if (!form?.matches('form')) return
  event.preventDefault()
  const button = form.querySelector('[data-default]') ?? form.querySelector('button:not([type=button]):not([data-rows-add]):not([data-rows-remove])')
  if (button) button.click()
  else form.requestSubmit()
})

document.addEventListener('submit', event => {
  if (!event.defaultPrevented) event.target.dataset.sent = ''
})
document.addEventListener('twinboard:sent', event => {
  const form = event.detail?.closest?.('form')
  if (form) form.dataset.accepted = ''
})
// A refused form comes back: what is in it has not been sent.
document.addEventListener('htmx:finally:request', () => guarded().forEach(form => delete form.dataset.sent))
addEventListener('pageshow', () => guarded().forEach(form => { delete form.dataset.sent; delete form.dataset.accepted }))

addEventListener('beforeunload', event => {
  if (!guarded().some(unsent)) return
  event.preventDefault()
  event.returnValue = text('leave')
})

document.addEventListener('change', event => {
  const form = event.target.closest('form[data-autosubmit]')
  form?.requestSubmit()
})
