import { test } from 'node:test'
import assert from 'node:assert/strict'
import { unmeasured } from './unmeasured.mjs'

const report = (score, audit = {}) => ({
  categories: { performance: { title: 'Performance', score, auditRefs: [{ id: 'lcp', weight: 25 }, { id: 'note', weight: 0 }] } },
  audits: { lcp: { scoreDisplayMode: 'numeric', ...audit }, note: { scoreDisplayMode: 'error', errorMessage: 'does not count' } },
})

test('a low score is a score', () => assert.equal(unmeasured(report(0)), ''))
test('a run that failed', () => {
  const lhr = { ...report(null), runtimeError: { code: 'NO_FCP', message: 'The page painted nothing.' } }
  assert.equal(unmeasured(lhr), 'NO_FCP: The page painted nothing.')
})
test('an audit that failed', () => {
  const lhr = report(null, { scoreDisplayMode: 'error', errorMessage: 'NO_LCP' })
  assert.equal(unmeasured(lhr), 'Performance has no score; lcp: NO_LCP')
})
test('no reason known', () => assert.equal(unmeasured(report(null)), 'Performance has no score; no audit says why'))
