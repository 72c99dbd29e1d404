// The panel beside a page begins folded where its bar to unfold it is shown: there,
// large text would let it fill a phone.
const fold = document.querySelector('.side-fold')
const bar = fold?.firstElementChild
let folds = false

if (bar) {
  new ResizeObserver(() => {
    const shown = bar.offsetHeight > 0
    if (shown === folds) return
    folds = shown
    fold.open = !shown
  }).observe(bar)
}
