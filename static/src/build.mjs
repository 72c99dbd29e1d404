// Builds static/dist from static/src: `node static/src/build.mjs js|icons|watch`.
// The same input gives the same bytes; app.css comes from the Tailwind CLI.
import { readFileSync, writeFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import * as esbuild from 'esbuild'

const src = 'static/src', dist = 'static/dist'
const read = path => readFileSync(path, 'utf8')

const shared = { bundle: true, minify: true, target: 'es2022', charset: 'utf8', legalComments: 'none', metafile: true, logLevel: 'warning' }
const bundles = [
  { ...shared, entryPoints: [`${src}/js/app.js`], outfile: `${dist}/app.js`, format: 'iife' },
  { ...shared, entryPoints: [`${src}/js/editor.js`], outfile: `${dist}/editor.js`, format: 'esm' },
]

// Licences of everything whose code or drawings end up in dist.
function licences(results) {
  const packages = new Set(['lucide-static', 'daisyui', 'tailwindcss'])
  for (const { metafile } of results)
    for (const input of Object.keys(metafile.inputs)) {
      const found = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)
      if (found) packages.add(found[1])
    }
  const parts = [...packages].sort().map(name => {
    const folder = join('node_modules', name)
    const { version, license } = JSON.parse(read(join(folder, 'package.json')))
    const file = readdirSync(folder).find(f => /^licen[cs]e/i.test(f))
    return `${name} ${version} (${license})\n\n${file ? read(join(folder, file)).trim() : ''}\n`
  })
  writeFileSync(`${dist}/licenses.txt`, 'app.css, app.js, editor.js and icons.svg contain work of others:\n\n' + parts.join('\n' + '-'.repeat(80) + '\n\n'))
}

async function js() {
  licences(await Promise.all(bundles.map(esbuild.build)))
}

async function watch() {
  for (const bundle of bundles) await (await esbuild.context({ ...bundle, logLevel: 'info' })).watch()
}

const inner = svg => svg.replace(/<!--.*?-->/gs, '').replace(/^.*?<svg[^>]*>|<\/svg>\s*$/gs, '').replace(/\s*\n\s*/g, '')
const solid = body => body.replaceAll('class="solid"', 'fill="currentColor" stroke="none"').replaceAll('class="plain" ', '')

function symbol(id, box, width, body) {
  return `<symbol id="${id}" viewBox="0 0 ${box} ${box}" fill="none" stroke="currentColor" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round">${solid(body)}</symbol>\n`
}

function icons() {
  let sprite = '<svg xmlns="http://www.w3.org/2000/svg">\n'
  for (const name of JSON.parse(read(`${src}/icons.json`)).sort())
    sprite += symbol(name, 24, 2, inner(read(`node_modules/lucide-static/icons/${name}.svg`)))
  for (const file of readdirSync(`${src}/signs`).sort())
    sprite += symbol('state-' + basename(file, '.svg'), 16, 1.6, inner(read(`${src}/signs/${file}`)))
  const mark = inner(read(`${src}/mark.svg`))
  sprite += symbol('mark', 28, 2.5, mark) + '</svg>\n'
  writeFileSync(`${dist}/icons.svg`, sprite)
  writeFileSync(`${dist}/mark.svg`, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28" fill="none" stroke="#2F7DD1" stroke-width="2.5">${mark.replaceAll('class="solid"', 'fill="#2F7DD1"').replaceAll('class="plain" ', '')}</svg>\n`)
}

const task = { js, icons, watch }[process.argv[2]]
if (!task) throw new Error('usage: node static/src/build.mjs js|icons|watch')
await task()
