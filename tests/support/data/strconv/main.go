// Prints what strconv and fmt make of strings, runes and floats, as JSON: the truth for tests/unit/test_text.py.
//
//	go run ./tests/support/data/strconv > tests/support/data/strconv.json
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"unicode/utf8"
)

type float struct {
	Bits string `json:"bits"`
	Text string `json:"text"`
}

type complexText struct {
	Real string `json:"real"`
	Imag string `json:"imag"`
	Text string `json:"text"`
}

type quoted struct {
	Hex  string `json:"hex"`
	Text string `json:"text"`
}

type output struct {
	Made       string        `json:"made"`
	Float64    []float       `json:"float64"`
	Float32    []float       `json:"float32"`
	Complex128 []complexText `json:"complex128"`
	Complex64  []complexText `json:"complex64"`
	Quote      []quoted      `json:"quote"`
	Printable  [][2]rune     `json:"printable"`
}

func main() {
	random := rand.New(rand.NewSource(1))
	out := output{Made: "go run ./tests/support/data/strconv with " + runtime.Version()}

	wide := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.5, 1.5, 100, 99999, 999999, 1e5, 1e6, 1e7, 123456, 1234567,
		123456.5, 999999.5, 0.001, 0.0001, 0.00001, 0.00012345, 1e20, 1e21, 1e22, 1e23, 1e100, 1e-100, 1e300, math.Pi, -math.E,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(), 2.2250738585072014e-308,
		2.225073858507201e-308, 1 << 53, 1<<53 + 2, 5e-324, 0.3, 2.0 / 3, 1e15, 1e16, 1e17, 123456789012345680}
	for i := 0; i < 300; i++ {
		wide = append(wide, math.Float64frombits(random.Uint64()))
		wide = append(wide, float64(random.Int63n(10000000))/1000)
	}
	for _, f := range wide {
		out.Float64 = append(out.Float64, float{hex64(f), strconv.FormatFloat(f, 'g', -1, 64)})
	}
	narrow := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.1, 0.2, 0.3, 1e5, 1e6, 1e7, 999999, 16777216, 16777218, math.Pi,
		0.0001, 0.00001, math.MaxFloat32, math.SmallestNonzeroFloat32, 1.1754944e-38, 1.1754942e-38,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 3.4028235e38, 1e-45, 33554432, 8388609.5, 1e10, 9.8e-5}
	for i := 0; i < 300; i++ {
		narrow = append(narrow, math.Float32frombits(random.Uint32()))
		narrow = append(narrow, float32(random.Int31n(10000000))/1000)
	}
	for _, f := range narrow {
		out.Float32 = append(out.Float32, float{hex32(f), strconv.FormatFloat(float64(f), 'g', -1, 32)})
	}
	for i := 0; i < 80; i++ {
		re, im := wide[random.Intn(len(wide))], wide[random.Intn(len(wide))]
		out.Complex128 = append(out.Complex128, complexText{hex64(re), hex64(im), fmt.Sprintf("%v", complex(re, im))})
		re32, im32 := narrow[random.Intn(len(narrow))], narrow[random.Intn(len(narrow))]
		out.Complex64 = append(out.Complex64, complexText{hex32(re32), hex32(im32), fmt.Sprintf("%v", complex(re32, im32))})
	}

	var texts []string
	for b := 0; b < 256; b++ {
		texts = append(texts, string([]byte{byte(b)}))
	}
	texts = append(texts, "", "hello", "ümlaut", "日本語", "🎉", "a\u0301", "\u200b", "\u202e", "\ufeff", "\ufffd", "\u00a0", "\u00ad",
		"\u2028", "\ue000", "\U000e0001", "\U0010ffff", "\U00010348", "\xed\xa0\x80", "\xed\xbf\xbf", "\xc0\x80", "\xf4\x90\x80\x80",
		"\xe2\x82", "\xf0\x9f\x8e", "a\xffb", "\x1b[31mred\x1b[0m", "tab\there", "\"quoted\"", "`back`", "back\\slash", "nul\x00nul",
		"\xff\xfe\xfd", "é\xe9", "\xe9é")
	for i := 0; i < 300; i++ {
		raw := make([]byte, random.Intn(12))
		for j := range raw {
			raw[j] = byte(random.Intn(256))
		}
		texts = append(texts, string(raw))
		mixed := ""
		for j := random.Intn(6); j > 0; j-- {
			mixed += string(rune(random.Intn(0x3000)))
		}
		texts = append(texts, mixed)
	}
	for _, text := range texts {
		out.Quote = append(out.Quote, quoted{hex.EncodeToString([]byte(text)), strconv.Quote(text)})
	}

	start := rune(-1)
	for r := rune(0); r <= utf8.MaxRune+1; r++ {
		printable := r <= utf8.MaxRune && strconv.IsPrint(r)
		if printable && start < 0 {
			start = r
		}
		if !printable && start >= 0 {
			out.Printable = append(out.Printable, [2]rune{start, r - 1})
			start = -1
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(out); err != nil {
		panic(err)
	}
}

func hex64(f float64) string { return fmt.Sprintf("%016x", math.Float64bits(f)) }
func hex32(f float32) string { return fmt.Sprintf("%08x", math.Float32bits(f)) }
