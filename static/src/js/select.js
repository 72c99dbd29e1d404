// Rows of a list are selected with their checkboxes; what can be done with them
// stands in a bar that is there while something is selected.
const bar = document.querySelector('[data-select-bar]')
const page = document.querySelector('[data-select-page]')
const all = bar?.querySelector('[data-select-all]')
const chosen = new Set()
let last = '' // the row that was selected or let go last

const boxes = () => [...document.querySelectorAll('[data-select]')]

function set(box, on) {
  box.checked = on
  if (on) chosen.add(box.value)
  else chosen.delete(box.value)
}

function show() {
  const n = chosen.size
  const everything = Boolean(all?.checked)
  bar.hidden = n === 0
  document.documentElement.classList.toggle('selecting', n > 0)
  const words = everything ? bar.dataset.all : n === 1 ? bar.dataset.one : bar.dataset.many.replace('{n}', n)
  bar.querySelector('[data-select-count]').textContent = n ? words : ''
  if (page) {
    page.checked = n > 0 && boxes().every(box => box.checked)
    page.indeterminate = n > 0 && !page.checked
  }
}

function clear() {
  boxes().forEach(box => set(box, false))
  chosen.clear()
  if (all) all.checked = false
  show()
}

// selectTo selects or lets go every row from the last one to this.
export function selectTo(row) {
  const box = row?.querySelector('[data-select]')
  if (!box || !bar) return false
  const list = boxes()
  const from = Math.max(0, list.findIndex(b => b.value === last))
  const to = list.indexOf(box)
  const on = !box.checked
  for (const b of list.slice(Math.min(from, to), Math.max(from, to) + 1)) set(b, on)
  last = box.value
  show()
  return true
}

if (bar) {
  document.addEventListener('change', event => {
    const box = event.target
    if (box === page) boxes().forEach(b => set(b, page.checked))
    else if (box.matches('[data-select]')) {
      set(box, box.checked)
      last = box.value
    } else if (box !== all) return
    show()
  })
  document.addEventListener('click', event => {
    const box = event.target.closest('[data-select]')
    if (box && event.shiftKey && last) {
      event.preventDefault()
      setTimeout(() => selectTo(box.closest('[data-row]')))
    }
    if (event.target.closest('[data-select-clear]')) clear()
  })
  // A row that was brought up to date stays as it was chosen.
  document.addEventListener('twinboard:added', event => {
    for (const box of event.detail.querySelectorAll('[data-select]')) box.checked = chosen.has(box.value)
  })
  addEventListener('pageshow', () => {
    for (const box of boxes()) set(box, box.checked)
    show()
  })
  show()
}
