// The words the script writes: the layout brings them, in the page's language.
const texts = document.getElementById('texts')?.dataset ?? {}

export const text = (name, n = '') => (texts[name] ?? '').replace('{n}', n)

// announce tells a screen reader without moving the focus.
export function announce(message) {
  const place = document.getElementById('announcer')
  if (!place) return
  place.textContent = ''
  requestAnimationFrame(() => { place.textContent = message })
}
