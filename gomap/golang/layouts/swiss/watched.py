"""What is done to a Swiss map, as the fields of its header tell it: map.go, table.go and runtime*.go of
internal/runtime/maps. Each write toggles `writing` twice.

Clear and a delete of the last key give the map another seed. Clear counts in clearSeq too, in the instruction behind
the one that resets used, where Delve notices no second watchpoint.
"""

from gomap.golang.layouts.watched import Watched

WATCHED = Watched(count="used", writing=("writing", 1), seed="seed", cleared="seed")
