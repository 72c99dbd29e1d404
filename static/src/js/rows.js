// Rows that can be added and taken away; without script the server does it.
let next = Date.now() // numbers for {i}, new on the page

document.addEventListener('click', event => {
  const add = event.target.closest('[data-rows-add]')
  const remove = event.target.closest('[data-rows-remove]')
  if (!add && !remove) return
  event.preventDefault()
  const rows = event.target.closest('[data-rows]')
  if (add) addRow(rows, add.dataset.rowsAdd)
  else removeRow(rows, remove.closest('[data-rows-row]'))
})

// The button's value names the template; most lists have one, of no name.
function addRow(rows, name) {
  const holder = document.createElement('template')
  holder.innerHTML = rows.querySelector(`[data-rows-template="${name}"]`).innerHTML.replaceAll('{i}', String(next++))
  const row = holder.content.firstElementChild
  rows.querySelector('[data-rows-list]').append(row)
  document.dispatchEvent(new CustomEvent('twinboard:added', { detail: row }))
  row.querySelector('input:not([type=hidden]), select, textarea')?.focus()
  changed(rows)
}

function removeRow(rows, row) {
  const neighbour = row.nextElementSibling ?? row.previousElementSibling
  row.remove()
  ;(neighbour?.querySelector('input:not([type=hidden]), select, textarea') ?? rows.querySelector('[data-rows-add]'))?.focus()
  changed(rows)
}

// A row more or less is something typed: the guard and the live page ask for it.
function changed(rows) {
  const form = rows.closest('form')
  if (form) form.dataset.edited = ''
}
