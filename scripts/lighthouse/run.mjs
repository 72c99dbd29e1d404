// Measures overview, devices, twin and query of a running Twinboard with
// Lighthouse and fails below the budget:
//   node run.mjs PATH-OF-TWINBOARD [REPORTS]
// REPORTS is a folder that gets each page's report as HTML.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync, existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { launch } from 'chrome-launcher'
import lighthouse, { desktopConfig } from 'lighthouse'
import { unmeasured } from './unmeasured.mjs'

const budget = 95
const categories = ['performance', 'accessibility', 'best-practices', 'seo']
const pages = {
  overview: '/h/local',
  devices: '/h/local/devices',
  twin: '/h/local/devices/demo-01',
  query: '/h/local/query?q=SELECT%20*%20FROM%20devices',
}
const [program, reports] = process.argv.slice(2)

const folder = mkdtempSync(join(tmpdir(), 'twinboard-'))
const twinboard = spawn(program, ['--listen', '127.0.0.1:0', '--hub-https', '127.0.0.1:0', '--hub-mqtt', '127.0.0.1:0', '--data', join(folder, 'data'), '--demo', '25', '--quiet'], { stdio: ['ignore', 'pipe', 'inherit'] })
let chrome
let low = 0
try {
  const { dashboard } = JSON.parse(String((await once(twinboard.stdout, 'data'))[0]))
  await demo(dashboard)
  chrome = await launch({
    chromePath: process.env.CHROME_PATH ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync),
    chromeFlags: ['--headless=new', '--no-sandbox', '--disable-quic', '--disable-background-networking', '--disable-component-update'],
  })
  for (const [name, path] of Object.entries(pages)) {
    for (const [form, config] of [['phone', undefined], ['desktop', desktopConfig]]) {
      await measure(name, form, dashboard + path, config)
    }
  }
} finally {
  await chrome?.kill()
  twinboard.kill('SIGTERM')
  await once(twinboard, 'exit')
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = low ? 1 : 0

// demo waits until the sample devices are there.
async function demo(dashboard) {
  const until = Date.now() + 60_000
  for (;;) {
    const answer = await fetch(dashboard + '/h/local/devices?format=json')
    const { devices } = await answer.json()
    if (devices?.length === 25) return
    if (Date.now() > until) throw new Error('the sample devices did not appear within a minute')
    await new Promise(resolve => setTimeout(resolve, 200))
  }
}

// measure fails with what is below the budget. A score that Lighthouse could not
// take is no score: it says why, and is taken once again.
async function measure(name, form, url, config) {
  const said = text => console.log(`${name.padEnd(9)} ${form.padEnd(8)} ${text}`)
  let { result, why } = await attempt(url, config)
  if (why) {
    said(`not measured, once again: ${why}`)
    ;({ result, why } = await attempt(url, config))
  }
  if (reports && result) writeFileSync(join(reports, `${name}-${form}.html`), result.report)
  if (why) {
    low++
    said(`not measured: ${why}`)
    return
  }
  const scores = categories.map(c => Math.round(100 * result.lhr.categories[c].score))
  said(categories.map((c, i) => `${c} ${scores[i]}`).join('  '))
  for (const [i, category] of categories.entries()) {
    if (scores[i] >= budget) continue
    low++
    for (const { id } of result.lhr.categories[category].auditRefs) {
      const audit = result.lhr.audits[id]
      if (audit.score !== null && audit.score < 0.9) console.log(`    ${category}: ${audit.title} ${audit.displayValue ?? ''}`)
    }
  }
}

// attempt runs Lighthouse once; why is the reason that there are no scores, or ''.
async function attempt(url, config) {
  try {
    const result = await lighthouse(url, { port: chrome.port, output: 'html', onlyCategories: categories, logLevel: 'error' }, config)
    return { result, why: unmeasured(result.lhr) }
  } catch (error) {
    return { why: String(error) }
  }
}
