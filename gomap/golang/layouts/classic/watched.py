"""What is done to a classic map, as the fields of its header tell it: runtime/map.go and map_fast*.go.

mapclear and a delete of the last key give the map another hash0.
"""

from gomap.golang.layouts.classic.shape import HASH_WRITING
from gomap.golang.layouts.watched import Watched

WATCHED = Watched(count="count", writing=("flags", HASH_WRITING), seed="hash0", cleared="hash0")
