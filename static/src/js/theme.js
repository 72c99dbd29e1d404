// Light, dark or as the system: the server reads the cookie before it paints,
// the script only changes it without a new page.
const choices = () => [...document.querySelectorAll('[data-theme-choice]')]

function apply(theme) {
  if (theme) document.documentElement.dataset.theme = theme
  else delete document.documentElement.dataset.theme
  const age = theme ? 365 * 24 * 3600 : 0
  document.cookie = `twinboard_theme=${theme}; path=/; max-age=${age}; samesite=lax`
  for (const choice of choices()) {
    const on = choice.dataset.themeChoice === theme
    choice.setAttribute('aria-pressed', String(on))
    if (on) choice.closest('details').querySelector('summary use').setAttribute('href', choice.dataset.themeIcon)
  }
  document.dispatchEvent(new CustomEvent('twinboard:theme'))
}

// cycleTheme goes on to the next choice.
export function cycleTheme() {
  const all = choices().map(choice => choice.dataset.themeChoice)
  if (!all.length) return false
  apply(all[(all.indexOf(document.documentElement.dataset.theme ?? '') + 1) % all.length])
  return true
}

document.addEventListener('click', event => {
  const choice = event.target.closest('[data-theme-choice]')
  if (!choice) return
  event.preventDefault()
  apply(choice.dataset.themeChoice)
})
