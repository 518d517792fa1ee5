//go:build linux && (amd64 || 386 || arm64)

package truth

import (
	"runtime"
	"syscall"
	"unsafe"
)

// abort dumps core on this thread, with the goroutine's own stack selected: the
// kernel's default action for SIGABRT instead of Go's handler, which would move
// to the signal stack. RawSyscall stays on the goroutine's stack.
func abort() {
	runtime.LockOSThread()
	// struct sigaction, all zero: SIG_DFL, no flags. Larger than the kernel's.
	var action [64]byte
	const maskSize = 8
	if _, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGABRT),
		uintptr(unsafe.Pointer(&action)), 0, maskSize, 0, 0); e != 0 {
		panic(e)
	}
	pid, _, _ := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0)
	tid, _, _ := syscall.RawSyscall(syscall.SYS_GETTID, 0, 0, 0)
	syscall.RawSyscall(syscall.SYS_TGKILL, pid, tid, uintptr(syscall.SIGABRT))
	panic("still alive after SIGABRT")
}
