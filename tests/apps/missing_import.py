"""Is there, but imports something that isn't."""

import a_library_nobody_installed

app = a_library_nobody_installed.app
