package pattern

import (
	"bytes"
	"testing"
)

func TestPartsAreEqualToTheWhole(t *testing.T) {
	whole := Bytes(0, 1000, 7)
	for off := range 40 {
		for n := range 40 {
			part := Bytes(int64(off), n, 7)
			if !bytes.Equal(part, whole[off:off+n]) {
				t.Fatalf("Bytes(%d, %d) is not the part of the whole", off, n)
			}
			if i := Check(part, int64(off), 7); i != -1 {
				t.Fatalf("Check(%d, %d) = %d", off, n, i)
			}
			for i := range part {
				part[i]++
				if at := Check(part, int64(off), 7); at != i {
					t.Fatalf("Check(%d, %d) with a wrong byte %d = %d", off, n, i, at)
				}
				part[i]--
			}
		}
		if At(int64(off), 7) != whole[off] {
			t.Fatalf("At(%d)", off)
		}
	}
	if bytes.Equal(whole, Bytes(0, 1000, 8)) || bytes.Equal(whole[:500], whole[500:]) {
		t.Fatal("the pattern repeats itself")
	}
}
