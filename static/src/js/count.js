// An element with data-count="id" counts the characters of that field as they
// are typed: data-count-text holds the words, with {n} in the number's place.
function show(counter) {
  const field = document.getElementById(counter.dataset.count)
  if (!field) return
  const n = [...field.value].length
  counter.textContent = counter.dataset.countText.replace('{n}', n.toLocaleString(document.documentElement.lang))
  counter.toggleAttribute('data-over', n > Number(counter.dataset.countLimit))
}

document.addEventListener('input', event => {
  for (const counter of document.querySelectorAll('[data-count]')) if (counter.dataset.count === event.target.id) show(counter)
})
