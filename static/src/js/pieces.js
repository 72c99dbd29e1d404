// Takes an event apart into its elements. Each is parsed by itself, because the
// HTML parser drops a <tr> that follows a <p>.
const tag = /<!--[\s\S]*?-->|<(\/?)([a-zA-Z][\w-]*)((?:"[^"]*"|'[^']*'|[^'">])*)>/g
const closed = /^(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)$/i

export function pieces(html) {
  const found = []
  let depth = 0
  let start = 0
  for (const match of html.matchAll(tag)) {
    const [whole, end, name, attributes] = match
    if (!name) continue
    if (depth === 0) start = match.index
    if (end) depth--
    else if (!closed.test(name) && !attributes.endsWith('/')) depth++
    if (depth === 0) found.push(parse(html.slice(start, match.index + whole.length)))
    if (depth < 0) depth = 0
  }
  return found.filter(Boolean)
}

function parse(html) {
  const template = document.createElement('template')
  template.innerHTML = html
  return template.content.firstElementChild
}
