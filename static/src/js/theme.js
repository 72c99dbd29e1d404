// Light, dark or as the system: the server reads the cookie before it paints,
// the script only changes it without a new page.
import { setLook } from './look.js'

const choices = () => [...document.querySelectorAll('[data-theme-choice]')]

function apply(theme) {
  setLook('theme', theme)
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
