// unmeasured says why a report of Lighthouse holds no scores, '' if it does: the
// whole run failed, or an audit that counts did, which leaves its category without
// a score. A score that is low is a score.
export function unmeasured(lhr) {
  const said = error => [error.code, error.message].filter(Boolean).join(': ')
  if (lhr.runtimeError) return said(lhr.runtimeError)
  for (const category of Object.values(lhr.categories)) {
    if (category.score !== null) continue
    const failed = category.auditRefs
      .filter(({ id, weight }) => weight > 0 && lhr.audits[id].scoreDisplayMode === 'error')
      .map(({ id }) => `${id}: ${lhr.audits[id].errorMessage}`)
    return `${category.title} has no score; ${failed.join('; ') || 'no audit says why'}`
  }
  return ''
}
