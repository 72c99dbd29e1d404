// What every page runs. Each module looks for its own attributes; a page works
// without any of them.
import './htmx.js'
import './live.js'
import './feed.js'
import './keyboard.js'
import './theme.js'
import './look.js'
import './menu.js'
import './copy.js'
import './secret.js'
import './dialog.js'
import './rows.js'
import './select.js'
import './forms.js'
import './waiting.js' // after forms.js, which may ask to stay
import './editors.js'
import './count.js'
import './side.js'

document.documentElement.classList.add('script')
