// Rows and size of the look menu: as theme.js, the script only changes them
// without a new page. <button data-look="compact" name="rows"> switches
// <html data-rows="compact">.

// setLook shows pages from now on with <html data-name="value">, or without where
// the value is empty.
export function setLook(name, value) {
  if (value) document.documentElement.dataset[name] = value
  else delete document.documentElement.dataset[name]
  document.cookie = `twinboard_${name}=${value}; path=/; max-age=${value ? 365 * 24 * 3600 : 0}; samesite=lax`
}

document.addEventListener('click', event => {
  const button = event.target.closest('[data-look]')
  if (!button) return
  event.preventDefault()
  const on = button.getAttribute('aria-pressed') !== 'true'
  setLook(button.name, on ? button.dataset.look : '')
  button.setAttribute('aria-pressed', String(on))
  button.value = on ? '' : button.dataset.look
})
