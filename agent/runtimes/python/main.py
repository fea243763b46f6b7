"""The program of an instance of the runtime `python`."""
# Compiled anew at each start, unlike what it imports: it stays short.
import mayfly_runtime

mayfly_runtime.main()
