import { text, announce } from './texts.js'

// toClipboard also works where the page is not a secure context.
export async function toClipboard(value) {
  try {
    await navigator.clipboard.writeText(value)
    return true
  } catch {
    const area = document.createElement('textarea')
    area.value = value
    area.className = 'sr-only'
    document.body.append(area)
    area.select()
    const done = document.execCommand('copy')
    area.remove()
    return done
  }
}

// report says on the button, for two seconds, and aloud whether it worked.
export function report(button, done) {
  const label = button.querySelector('span') ?? button
  const message = text(done ? 'copied' : 'copyFailed')
  label.dataset.label ??= label.textContent
  label.textContent = message
  announce(message)
  clearTimeout(button.restore)
  button.restore = setTimeout(() => { label.textContent = label.dataset.label }, 2000)
}

document.addEventListener('click', async event => {
  const button = event.target.closest('[data-copy], [data-copy-from]')
  if (!button) return
  const from = document.getElementById(button.dataset.copyFrom)
  const value = button.dataset.copy ?? from?.value ?? from?.textContent ?? ''
  report(button, await toClipboard(value))
  button.focus()
})
