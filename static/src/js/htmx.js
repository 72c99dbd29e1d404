// htmx, and the three things we want of it that it does not do by itself.
import htmx from 'htmx.org/dist/htmx.esm.js'
import { restoreFocus, rememberFocus } from './focus.js'
import { text, announce } from './texts.js'

export default htmx

// A redirect after a post means another page, here as without script.
document.addEventListener('htmx:before:response', event => {
  const { raw } = event.detail.ctx.response
  const next = raw.headers.get('HX-Redirect') ?? (raw.redirected && raw.url)
  if (!next) return
  event.preventDefault()
  document.dispatchEvent(new CustomEvent('twinboard:sent', { detail: event.detail.ctx.sourceElement }))
  location.assign(next)
})

// A whole page in answer to a request for a part is an error page: its notice
// is shown, and what was typed stays.
document.addEventListener('htmx:after:request', event => {
  const { ctx } = event.detail
  if (!/^\s*<!doctype/i.test(ctx.text)) return
  event.preventDefault()
  const page = new DOMParser().parseFromString(ctx.text, 'text/html')
  const notice = page.querySelector('.error-notice')
  if (notice) document.getElementById('flashes')?.replaceChildren(notice)
  else failed()
})

document.addEventListener('htmx:error', event => {
  if (event.detail.ctx?.request) failed()
})

function failed() {
  const flash = document.createElement('div')
  flash.className = 'flash'
  flash.dataset.flash = 'error'
  flash.setAttribute('role', 'alert')
  flash.textContent = text('formFailed')
  document.getElementById('flashes')?.replaceChildren(flash)
  announce(text('formFailed'))
}

const busy = (event, on) => {
  const source = event.detail.ctx.sourceElement
  const button = event.detail.ctx.request.submitter ?? (source.matches('form') ? source.querySelector('button:not([type=button])') : source)
  if (on) button?.setAttribute('aria-busy', 'true')
  else button?.removeAttribute('aria-busy')
}
document.addEventListener('htmx:before:request', event => { rememberFocus(); busy(event, true) })
document.addEventListener('htmx:finally:request', event => busy(event, false))
document.addEventListener('htmx:after:swap', () => {
  restoreFocus()
  document.dispatchEvent(new CustomEvent('twinboard:added', { detail: document.body }))
})
