// Package pattern makes bytes that are a function of a seed and their offset in a file, so that any part of a
// file can be checked without keeping a copy.
package pattern

import "encoding/binary"

// Fill writes into b the bytes that belong at offset off (not negative) of the file of that seed.
func Fill(b []byte, off int64, seed uint64) {
	for len(b) > 0 {
		w := word(off>>3, seed)
		if off&7 == 0 && len(b) >= 8 {
			binary.LittleEndian.PutUint64(b, w)
			b, off = b[8:], off+8
			continue
		}
		b[0] = byte(w >> (off & 7 * 8))
		b, off = b[1:], off+1
	}
}

// Bytes returns n bytes that belong at off.
func Bytes(off int64, n int, seed uint64) []byte {
	b := make([]byte, n)
	Fill(b, off, seed)
	return b
}

// At is the byte that belongs at off.
func At(off int64, seed uint64) byte { return byte(word(off>>3, seed) >> (off & 7 * 8)) }

// Check returns the index in b of the first byte that does not belong there, b starting at
// off, or -1.
func Check(b []byte, off int64, seed uint64) int {
	for i := 0; i < len(b); {
		w := word(off>>3, seed)
		if off&7 == 0 && len(b)-i >= 8 && binary.LittleEndian.Uint64(b[i:]) == w {
			i, off = i+8, off+8
			continue
		}
		if b[i] != byte(w>>(off&7*8)) {
			return i
		}
		i, off = i+1, off+1
	}
	return -1
}

// word is splitmix64: neighbouring words and seeds have nothing in common.
func word(i int64, seed uint64) uint64 {
	z := (uint64(i)+1)*0x9e3779b97f4a7c15 ^ seed*0xd1342543de82ef95
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
