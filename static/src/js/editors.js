// Fetches the editor only on pages that have one. A phone keeps the plain field:
// its own keyboard, selection and spelling serve better there, and a seventh of
// the script is enough.
const phone = matchMedia('(pointer: coarse) and (width < 640px)')

async function start(root) {
  if (phone.matches) return
  const areas = [...(root.querySelectorAll?.('textarea[data-editor]') ?? [])].filter(area => !area.editor)
  if (!areas.length) return
  const { attach } = await import(new URL(areas[0].dataset.editorSrc, location.href))
  for (const area of areas) if (area.isConnected && !area.editor) attach(area)
}

document.addEventListener('twinboard:added', event => start(event.detail))
start(document)

// A button with data-fill="id" puts its data-fill-text into that field: examples.
document.addEventListener('click', event => {
  const button = event.target.closest('[data-fill]')
  const area = button && document.getElementById(button.dataset.fill)
  if (!area) return
  event.preventDefault()
  if (area.editor) {
    area.dispatchEvent(new CustomEvent('twinboard:fill', { detail: button.dataset.fillText }))
    area.editor.focus()
  } else {
    area.value = button.dataset.fillText
    area.focus()
  }
})

// An error summary's link to a field leads into its editor.
document.addEventListener('click', event => {
  const link = event.target.closest('a[href^="#"]')
  const area = link && document.getElementById(decodeURIComponent(link.hash.slice(1)))
  if (!area?.editor) return
  event.preventDefault()
  area.editor.focus()
})
