// Focus belongs to the person: after a part of the page is replaced it goes to
// what asks for it, or back to where it was.
let before = ''

export function rememberFocus() {
  before = document.activeElement?.id ?? ''
}

export function restoreFocus() {
  const wanted = document.querySelector('[data-focus]')
  if (wanted) {
    wanted.removeAttribute('data-focus')
    wanted.focus()
  } else if (document.activeElement === document.body && before) {
    document.getElementById(before)?.focus({ preventScroll: true })
  }
}

// dirty: someone has typed or chosen something that the page did not bring.
export function dirty(field) {
  if (field.matches('[type=hidden], [type=search], [data-confirm-word], [data-select], [data-select-page], [data-select-all], [readonly]')) return false
  if (field.matches('[type=checkbox], [type=radio]')) return field.checked !== field.defaultChecked
  if (field.matches('select')) return [...field.options].some(o => o.selected !== o.defaultSelected) && !allDefault(field)
  return field.value !== field.defaultValue
}

// A select without a default shows its first option.
const allDefault = select => ![...select.options].some(o => o.defaultSelected) && select.selectedIndex <= 0

// touched: there is something of that kind in it, or a row more or less.
export function touched(root) {
  if (root.matches('form[data-edited]') || root.querySelector('form[data-edited]')) return true
  if (root.matches('input, textarea, select')) return dirty(root)
  return [...root.querySelectorAll('input, textarea, select')].some(dirty)
}

document.addEventListener('DOMContentLoaded', () => document.querySelector('[data-focus]')?.focus())
