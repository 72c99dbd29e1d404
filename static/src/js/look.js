// Rows and size of the look menu: as theme.js, the script only changes them
// without a new page. <button data-look="compact" name="rows"> switches
// <html data-rows="compact">.
document.addEventListener('click', event => {
  const button = event.target.closest('[data-look]')
  if (!button) return
  event.preventDefault()
  const { name } = button
  const on = button.getAttribute('aria-pressed') !== 'true'
  if (on) document.documentElement.dataset[name] = button.dataset.look
  else delete document.documentElement.dataset[name]
  document.cookie = `twinboard_${name}=${on ? button.dataset.look : ''}; path=/; max-age=${on ? 365 * 24 * 3600 : 0}; samesite=lax`
  button.setAttribute('aria-pressed', String(on))
  button.value = on ? '' : button.dataset.look
})
