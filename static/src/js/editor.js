// The code editor: takes the place of a textarea and keeps its value current,
// so that forms, htmx and the guard of unsent text need not know about it.
import { EditorState, Prec, StateEffect, StateField } from '@codemirror/state'
import { EditorView, Decoration, keymap, lineNumbers, drawSelection, placeholder } from '@codemirror/view'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language'
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus, closeCompletion } from '@codemirror/autocomplete'
import { classHighlighter } from '@lezer/highlight'
import { json } from '@codemirror/lang-json'
import { SQLDialect, sql } from '@codemirror/lang-sql'

const words = document.getElementById('texts')?.dataset ?? {}

// The words of IoT Hub's query language; the hub checks, the editor only colours.
const keywords = 'select top as from where and or not in group by order asc desc join'
const sources = 'devices modules jobs enrollments'
const functions = 'is_defined is_null is_bool is_number is_string is_array is_object is_primitive as_number ' +
  'abs exp power square ceiling floor sign sqrt concat length lower upper substring index_of starts_with ends_with contains ' +
  'count sum avg min max'
const dialect = SQLDialect.define({ keywords: keywords + ' true false null', builtin: functions, types: sources, doubleQuotedStrings: true })

function complete(area) {
  const option = type => label => ({ label, type })
  const paths = ['deviceId', 'moduleId', 'etag', 'version', 'status', 'connectionState', 'lastActivityTime', 'tags.', 'properties.desired.', 'properties.reported.']
  const options = [
    ...new Set([...paths, ...(area.dataset.words ?? '').split(' ').filter(Boolean)]),
  ].map(option('property'))
    .concat(keywords.toUpperCase().split(' ').map(option('keyword')), functions.toUpperCase().split(' ').map(option('function')), sources.split(' ').map(option('type')))
  return context => {
    const word = context.matchBefore(/[\w$.\[\]]+/)
    return word || context.explicit ? { from: word?.from ?? context.pos, options, validFor: /^[\w$.\[\]]*$/ } : null
  }
}

const modes = {
  json: () => [json(), closeBrackets(), keymap.of(closeBracketsKeymap)],
  query: area => [sql({ dialect }), autocompletion({ override: [complete(area)], icons: false }), EditorView.lineWrapping],
}

// The marker of a mistake stays until the text changes.
const markAt = StateEffect.define()
const marker = StateField.define({
  create: () => Decoration.none,
  update(marks, transaction) {
    if (transaction.docChanged) marks = Decoration.none
    for (const effect of transaction.effects) if (effect.is(markAt)) marks = effect.value
    return marks
  },
  provide: field => EditorView.decorations.from(field),
})

function showMistake(view, area) {
  const { errorLine, errorColumn, errorText } = area.dataset
  if (!errorLine) return
  const line = view.state.doc.line(Math.min(view.state.doc.lines, Math.max(1, Number(errorLine))))
  const characters = [...line.text]
  const from = line.from + characters.slice(0, Math.max(0, Number(errorColumn) - 1)).join('').length
  const rest = view.state.doc.sliceString(Math.min(from, line.to), line.to)
  const length = Math.max(1, rest.match(/^[\w$]+/)?.[0].length ?? 1)
  const marks = [Decoration.line({ class: 'cm-mistake-line' }).range(line.from)]
  if (from < line.to) {
    marks.push(Decoration.mark({ class: 'cm-mistake', attributes: { title: errorText ?? '' } }).range(from, Math.min(line.to, from + length)))
  } else if (line.length > 0) {
    marks.push(Decoration.mark({ class: 'cm-mistake', attributes: { title: errorText ?? '' } }).range(line.to - 1, line.to))
  }
  view.dispatch({ effects: markAt.of(Decoration.set(marks, true)), selection: { anchor: Math.min(from, line.to) }, scrollIntoView: true })
}

function attributes(area) {
  const label = document.querySelector(`label[for="${CSS.escape(area.id)}"]`)?.textContent.trim() ?? ''
  const hint = words[area.dataset.editor === 'json' ? 'editorJson' : 'editorQuery'] ?? ''
  const all = { 'aria-label': `${label}. ${hint}`, spellcheck: 'false', autocorrect: 'off', autocapitalize: 'off', tabindex: '0' }
  if (area.getAttribute('aria-describedby')) all['aria-describedby'] = area.getAttribute('aria-describedby')
  if (area.getAttribute('aria-invalid')) all['aria-invalid'] = 'true'
  return all
}

// leave puts the focus behind the editor, so that Tab moves on from there.
function leave(view) {
  if (completionStatus(view.state) !== null) return closeCompletion(view)
  view.dom.nextElementSibling.focus()
  return true
}

function extensions(area) {
  return [
    EditorView.cspNonce.of(document.querySelector('script[nonce]')?.nonce ?? ''),
    Prec.highest(keymap.of([{ key: 'Mod-Enter', run: () => true }, { key: 'Escape', run: leave }])),
    lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), indentUnit.of('  '), EditorState.tabSize.of(2),
    syntaxHighlighting(classHighlighter), marker, placeholder(area.placeholder),
    EditorState.phrases.of({ Completions: words.editorCompletions ?? '' }),
    modes[area.dataset.editor]?.(area) ?? [],
    keymap.of([...completionKeymap.filter(k => k.key !== 'Escape'), indentWithTab, ...defaultKeymap, ...historyKeymap]),
    EditorView.contentAttributes.of(attributes(area)),
    EditorView.updateListener.of(update => {
      if (!update.docChanged) return
      area.value = update.state.doc.toString()
      area.dispatchEvent(new Event('input', { bubbles: true }))
    }),
  ]
}

// attach puts an editor in the place of a textarea; area.editor is its view.
export function attach(area) {
  const hadFocus = document.activeElement === area
  const view = new EditorView({ state: EditorState.create({ doc: area.value, extensions: extensions(area) }) })
  view.dom.dataset.editorFor = area.id
  // What stands below must not move away from under a pointer.
  if (area.offsetHeight > 0) view.dom.style.minHeight = `${area.offsetHeight}px`
  const exit = document.createElement('span')
  exit.tabIndex = -1
  exit.className = 'editor-exit'
  area.after(view.dom, exit)
  area.hidden = true
  area.editor = view
  document.querySelector(`label[for="${CSS.escape(area.id)}"]`)?.addEventListener('click', () => view.focus())
  area.form?.addEventListener('reset', () => setTimeout(() => fill(area, area.defaultValue)))
  area.addEventListener('twinboard:fill', event => fill(area, event.detail))
  showMistake(view, area)
  if (hadFocus) view.focus()
}

function fill(area, text) {
  area.editor.dispatch({ changes: { from: 0, to: area.editor.state.doc.length, insert: text } })
}
