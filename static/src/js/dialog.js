// Native dialogs: the browser moves the focus in, keeps it, and returns it.
document.addEventListener('click', event => {
  const opener = event.target.closest('[data-dialog]')
  const dialog = opener && document.getElementById(opener.dataset.dialog)
  if (dialog && !dialog.open) {
    event.preventDefault()
    dialog.showModal()
  }
  if (event.target.closest('[data-close]')) close(event.target.closest('dialog'))
  if (event.target.matches('dialog[open]')) event.target.close() // the ground around it
})

// The same question on a page of its own is left the way one came.
function close(dialog) {
  if (dialog) dialog.close()
  else history.back()
}

// Something that reaches far waits until its name has been typed.
function confirmed(field) {
  const button = field.form?.querySelector('button:not([type=button])')
  button?.setAttribute('aria-disabled', String(field.value !== field.dataset.confirmWord))
}
document.addEventListener('input', event => {
  if (event.target.matches('[data-confirm-word]')) confirmed(event.target)
})
const prepare = root => root.querySelectorAll('[data-confirm-word]').forEach(confirmed)
document.addEventListener('twinboard:added', event => prepare(event.detail))
prepare(document)

// A button that cannot be used now keeps its place and its reason, but does nothing.
document.addEventListener('click', event => {
  if (event.target.closest('[aria-disabled=true]')) {
    event.preventDefault()
    event.stopImmediatePropagation()
  }
}, true)
