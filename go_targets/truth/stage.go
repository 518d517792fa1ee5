package truth

import (
	"fmt"
	"os"
	"runtime/debug"
)

// Cooperative (GOMAP_COOPERATIVE=1) says that no signal interrupts a goroutine: none could stop the others that spins.
var Cooperative = os.Getenv("GOMAP_COOPERATIVE") == "1"

var (
	stages    []string
	publishes = map[string]int{}
)

// Stages declares the stages this build of the program goes through, and with
// the argument -stages prints them and ends the program. It turns the collector
// off: a debugger that stops a program while its goroutines mark and sweep does not
// always see the whole of their stacks.
func Stages(names ...string) {
	debug.SetGCPercent(-1)
	stages = names
	if len(os.Args) > 1 && os.Args[1] == "-stages" {
		for _, name := range names {
			fmt.Println(name)
		}
		os.Exit(0)
	}
}

func markPublished(stage string) {
	for _, name := range stages {
		if name == stage {
			publishes[stage]++
			return
		}
	}
	panic("stage not declared: " + stage)
}

// Done ends a program: every stage must have been published, once.
func Done() {
	for _, name := range stages {
		if publishes[name] != 1 {
			panic(fmt.Sprintf("stage %s was published %d times", name, publishes[name]))
		}
	}
}

// Reached says whether to stop at this stage: GOMAP_STAGE names it or is unset.
// When GOMAP_ABORT names it the process dumps core here instead, and when GOMAP_WAIT
// does it says so and lives until its input ends. Each program's
// stop calls it and then runtime.Breakpoint itself, so that the frames at a stop
// are runtime.breakpoint, runtime.Breakpoint, main.stop and the user's function.
func Reached(stage string) bool {
	if os.Getenv("GOMAP_ABORT") == stage && stage != "" {
		abort()
	}
	if os.Getenv("GOMAP_WAIT") == stage && stage != "" {
		wait()
	}
	if os.Getenv("GOMAP_ABORT") != "" || os.Getenv("GOMAP_WAIT") != "" {
		return false
	}
	wanted, set := os.LookupEnv("GOMAP_STAGE")
	return !set || wanted == stage
}

// wait stays in a system call. The program ends with the one that started it.
func wait() {
	fmt.Println("waiting")
	os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// Check panics unless what the program expects of its own data holds.
func Check(ok bool, what string) {
	if !ok {
		panic("not as expected: " + what)
	}
}
