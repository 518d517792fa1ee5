package main

import (
	"fmt"
	"math"
	"time"
	"unsafe"
)

type (
	Color  uint8
	Point  struct{ X, Y int32 }
	Words  struct{ A, B, C int }
	Padded struct {
		A uint8
		B uint64
		C uint8
	}
	Blank struct {
		A int32
		_ int32
		B int32
		_ string
	}
	AllBlank struct{ _, _ int }
	Named    struct {
		ID   int
		Name string
	}
	Runs struct {
		A, B  uint16
		F     float32
		C     uint32
		D     uint64
		S     string
		E, G  uint8
		H     uint16
		I     uint32
		J     uint64
		K     any
		L, M  int16
		Where [2]Point
	}
	Nested struct {
		P Point
		N Named
		Q Point
	}
	Inner  struct{ A, B uint8 }
	Deeper struct {
		A uint16
		I Inner
		J [4]uint8
		F float64
		K Inner
		P Padded
		L uint8
	}
	One      struct{ S string }
	OneFloat struct{ F [1]float64 }
	Gap      struct {
		S string
		Z struct{}
		T string
	}
	ZeroFirst struct {
		Z [0]int
		A uint32
		F float32
	}
	Labels [5]struct {
		K uint8
		V string
	}
	Pairs [3]struct {
		A uint32
		B float32
	}
	Wide [40]struct {
		A uint64
		F float64
	}
	Floats   [19]float32
	Shouts   string
	Complex2 struct{ A, B complex64 }
)

func (c Color) String() string  { return fmt.Sprint("color ", uint8(c)) }
func (n Named) String() string  { return n.Name }
func (p *Point) String() string { return fmt.Sprint(p.X, p.Y) }
func (s Shouts) String() string { return string(s) }

func text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(next())
	}
	return string(b)
}

func keys() {
	negative := math.Copysign(0, -1)
	key(false, true)
	key[int8](-1, 7)
	key[uint8](0, 200)
	key[int16](-2, 3000)
	key[int32](-5, 1<<30)
	key[uint32](17)
	key[int64](-5, 1<<60)
	key[uint64](math.MaxUint64)
	key[int](0, -1, 1234567)
	key[uintptr](0xdeadbeef)
	key(Color(3))
	key[float32](0, float32(negative), 1.5, float32(math.Inf(1)), float32(math.NaN()))
	key(0, negative, 2.25, math.Inf(-1), math.NaN(), math.SmallestNonzeroFloat64)
	key(complex64(complex(0, 1)), complex64(complex(negative, 0)), complex64(complex(1, math.NaN())))
	key(complex(1.5, -2), complex(0, 0), complex(math.NaN(), 0))
	for n := 0; n < 140; n += 1 + n/9 {
		key(text(n))
	}
	key(text(1000), text(5000), text(70000))
	key(&state, nil)
	key(make(chan int), nil)
	key(unsafe.Pointer(&state))
	key(Point{1, -1})
	key(Words{1, 2, 3})
	key(Padded{1, 2, 3})
	key(Blank{A: 1, B: 2})
	key(AllBlank{})
	key(Named{7, "seven"}, Named{})
	key(Runs{A: 1, B: 2, F: 3, C: 4, D: 5, S: "six", E: 7, G: 8, H: 9, I: 10, J: 11, K: Point{12, 13}, L: 14, M: 15,
		Where: [2]Point{{16, 17}, {18, 19}}}, Runs{K: 5, F: float32(negative)}, Runs{K: math.NaN()})
	key(Nested{Point{1, 2}, Named{3, "four"}, Point{5, 6}})
	key(Deeper{1, Inner{2, 3}, [4]uint8{4, 5, 6, 7}, 8, Inner{9, 10}, Padded{11, 12, 13}, 14})
	key(One{"one"})
	key(OneFloat{[1]float64{3.5}}, OneFloat{[1]float64{negative}})
	key(Gap{S: "a", T: "b"})
	key(ZeroFirst{A: 1, F: 2})
	key(Labels{{1, "one"}, {2, "two"}, {3, ""}, {4, "four"}, {5, text(40)}})
	key(Pairs{{1, 2}, {3, 4}, {5, 6}})
	key(Wide{{1, 2}, {3, 4}, {5, 6}, {7, 8}})
	key(Floats{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19})
	key(Complex2{1, 2i})
	key([0]string{})
	key([1]string{"only"})
	key([2]string{"a", "b"})
	key([3]string{"a", "b", "c"})
	key([7]string{"a", "b", "c", "d", "e", "f", text(33)})
	key([3]int16{1, 2, 3})
	key([2]int32{1, 2})
	key([128]byte{1, 2, 3})
	key([129]byte{1, 2, 3})
	key([5]float64{1, 2, 3, 4, 5})
	key([9][2]float32{{1, 2}, {3, 4}})
	key(struct{}{})
	key[any](nil, 1, int8(2), uint16(3), int32(4), "five", 6.5, float32(7), negative, math.NaN(), true, &state, Color(8),
		Point{9, 10}, &Point{11, 12}, Named{13, "n"}, [2]string{"x", "y"}, struct{}{}, [1]*uint64{&state}, One{"o"},
		complex(1, 2), Padded{1, 2, 3}, Deeper{A: 1}, Runs{K: Named{1, "deep"}}, time.Second, [0]int{}, Shouts("!"), Gap{S: "g"})
	key[fmt.Stringer](nil, Color(1), Named{2, "two"}, &Point{3, 4}, Shouts("five"), time.Minute)
	key([2]any{1, "two"})
	key(struct {
		A any
		B fmt.Stringer
		C int16
	}{"a", Color(2), 3})
}
